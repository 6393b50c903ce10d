package transport_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A configured muxer tells with which limits its sessions are made.
type configured struct {
	mux.Muxer
	dial, listen chan mux.Config
}

func (m configured) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	m.dial <- config
	return m.Muxer.DialSide(conn, config)
}

func (m configured) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	m.listen <- config
	return m.Muxer.ListenSide(conn, config)
}

// TestLimits expects options to arrive at the sessions, in either order.
func TestLimits(t *testing.T) {
	const interval, timeout = 7 * time.Second, 3 * time.Second
	limits := transport.WithLimits(mux.Config{Window: 1 << 20, KeepAlive: time.Hour})
	keepAlive := transport.WithKeepAlive(interval, timeout)
	for _, opts := range [][]transport.Option{{limits, keepAlive}, {keepAlive, limits}} {
		leak.Check(t)
		m := configured{yamuxmux.New(), make(chan mux.Config, 1), make(chan mux.Config, 1)}
		d := newDoorway(t, append(serverOptions(opts), transport.WithMuxes(m))...)
		lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil,
			append(clientOptions(opts), transport.WithMuxes(m), transport.WithCarriers(d.network))...)
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		for _, c := range []mux.Config{<-m.dial, <-m.listen} {
			if c.KeepAlive != interval || c.KeepAliveTimeout != timeout || c.Window != 1<<20 {
				t.Errorf("limits %+v", c)
			}
		}
	}
}

func serverOptions(opts []transport.Option) (all []transport.ServerOption) {
	for _, o := range opts {
		all = append(all, o)
	}
	return all
}

func clientOptions(opts []transport.Option) (all []transport.ClientOption) {
	for _, o := range opts {
		all = append(all, o)
	}
	return all
}

// TestNoLimits uses sessions whose limits are all switched off.
func TestNoLimits(t *testing.T) {
	for _, m := range []mux.Muxer{qmux.New(), yamuxmux.New(), smuxmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			leak.Check(t)
			options := transport.Options(transport.WithMuxes(m), transport.WithKeepAlive(-1, -1), transport.WithLimits(mux.Config{
				AcceptBacklog: -1, Window: -1, MaxWindow: -1, ReceiveBuffer: -1, Linger: -1,
			}))
			d := newDoorway(t, options, transport.WithMaxSessions(-1), transport.WithMaxHandshakes(-1), transport.WithMaxAge(-1),
				transport.WithAddressLimits(transport.AddressLimits{Sessions: -1, Handshakes: -1, IPv6Prefix: -1}))
			lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, options, transport.WithCarriers(d.network))
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			dialer := await.From(t, "the session", d.dialers)
			const streams = 1000 // more than the backlog is by default
			conns := make([]net.Conn, streams)
			for i := range conns {
				if conns[i], err = dialer.DialContext(t.Context(), "", ""); err != nil {
					t.Fatalf("stream %d: %v", i, err)
				}
				defer conns[i].Close()
			}
			sent := bytes.Repeat([]byte("x"), 1<<20)
			go func() {
				conns[0].Write(sent)
				conns[0].Close()
			}()
			conn, err := lis.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d bytes arrived, %v, want %d", len(got), err, len(sent))
			}
		})
	}
}
