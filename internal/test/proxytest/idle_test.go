//go:build unix

package proxytest

import (
	"errors"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// TestIdle leaves sessions alone for longer than a proxy waits. Sessions with keepalive
// must live, with their idle connections. The others must not, or there would be nothing
// to test.
func TestIdle(t *testing.T) {
	const (
		timeout   = 4 * time.Second
		keepAlive = 3 * timeout / 8 // and as long for an answer, which a loaded machine needs
		never     = -1
	)
	forEach(t, func(t *testing.T, k kind) {
		asks := startServer(t, "asks", transport.WithKeepAlive(keepAlive, keepAlive))
		silent := startServer(t, "silent", transport.WithKeepAlive(never, 0))
		var edits []edit
		if k.idle != nil {
			edits = append(edits, k.idle(timeout))
		}
		type session struct {
			name      string
			lis       *transport.Listener
			d         *transport.Dialer
			far, near mux.Stream
		}
		var kept, others []session
		began := time.Now()
		for _, test := range []struct {
			name   string
			server *server
			client time.Duration
			kept   bool
		}{
			{"the client asks", silent, keepAlive, true},
			{"the server asks", asks, never, true},
			{"both ask", asks, keepAlive, true},
			{"nobody asks", silent, never, false},
		} {
			p := startProxy(t, k, k.servers(test.server.addr), edits...)
			for _, w := range ways() {
				lis, d := p.connect(t, w, test.server, nil, transport.WithKeepAlive(test.client, 0))
				far, near := pair(t, d, lis)
				pingPong(t, far, near)
				s := session{test.name + ", " + w.name, lis, d, far, near}
				if test.kept {
					kept = append(kept, s)
				} else {
					others = append(others, s)
				}
			}
		}
		connected := time.Now()

		if k.idle == nil {
			<-time.After(2 * timeout)
			kept = append(kept, others...) // which nothing cuts
		} else {
			for _, s := range others {
				await.From(t, "the end of what is idle, for the client", s.lis.Done())
				await.From(t, "the end of what is idle, for the server", s.d.Done())
				if _, err := s.near.Read(make([]byte, 1)); !errors.Is(err, mux.ErrSessionEnded) {
					t.Errorf("%s: read: %v, want mux.ErrSessionEnded", s.name, err)
				}
			}
			if took := time.Since(began); took < timeout {
				t.Errorf("what is idle was cut after %v, want %v", took, timeout)
			}
			<-time.After(time.Until(connected.Add(2 * timeout)))
		}
		for _, s := range kept {
			if err := s.d.Err(); err != nil {
				t.Errorf("%s: the session has ended: %v", s.name, err)
				continue
			}
			pingPong(t, s.far, s.near)
			far, near := pair(t, s.d, s.lis)
			pingPong(t, far, near)
		}
	})
}
