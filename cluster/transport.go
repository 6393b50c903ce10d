package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/reverse"
)

// keptFor is how long a connection to a client of another replica is used, and then kept: that
// replica cannot tell that the client has to move, and waits for the connection.
const keptFor = 5 * time.Second

// A Transport is an [http.RoundTripper] for which the host of a URL is a client's ID:
// http://123/status is what client 123 serves under /status, wherever it is connected. See
// [Cluster.Transport].
type Transport struct {
	cluster   *Cluster
	here      *fleet.Transport // nil for a service
	configure []func(*http.Transport)

	mu     sync.Mutex // guards below
	others *http.Transport
	since  time.Time // when others was made
}

// Transport returns an [http.RoundTripper] that reaches clients by their ID. It keeps
// connections to them: so make one Transport, not one for each request. configure sets fields
// of the [http.Transport] underneath, as in [fleet.Fleet.Transport].
//
// It reaches clients of this process as a transport of the fleet does. A connection to a
// client of another replica gets no requests when it is 5 s old, and is kept for at most 5 s
// when it is idle, because it holds up the client's move for so long. Errors match the same as
// those of [Cluster.Dial]; a request waits for a connection for at most 30 s.
// rhttp.NewTransport says how long an answer may be.
//
// [http.Transport]: https://pkg.go.dev/net/http#Transport
func (c *Cluster) Transport(configure ...func(*http.Transport)) *Transport {
	t := &Transport{cluster: c, configure: configure}
	if c.clients != nil {
		t.here = c.clients.TryTransport(configure...)
	}
	t.renew()
	return t
}

// renew makes later requests to clients of other replicas use new connections.
func (t *Transport) renew() {
	t.others, t.since = reverse.NewTransport(t.dial, t.configure...), time.Now()
	if t.others.IdleConnTimeout <= 0 || t.others.IdleConnTimeout > keptFor {
		t.others.IdleConnTimeout = keptFor
	}
}

// current returns what reaches clients of other replicas now.
func (t *Transport) current() *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.since) > keptFor {
		t.renew() // the old connections end by themselves when they have been idle for long enough
	}
	return t.others
}

func (t *Transport) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, reverse.DialTimeout)
	defer cancel()
	return t.cluster.DialContext(ctx, network, addr)
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.here != nil {
		if _, ok := t.cluster.clients.Lookup(r.URL.Hostname()); ok {
			answer, err := t.here.RoundTrip(r)
			if _, gone := errors.AsType[*fleet.NotConnectedError](err); !gone {
				return answer, err
			}
			again, ok := reverse.Rewound(r)
			if !ok {
				return nil, err
			}
			r = again
		}
	}
	if err := fleet.CheckID(r.URL.Hostname()); err != nil { // DialContext would not see all of it
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return reverse.RoundTrip(t.current(), r)
}

// CloseIdleConnections closes the connections that are kept but not in use.
func (t *Transport) CloseIdleConnections() {
	if t.here != nil {
		t.here.CloseIdleConnections()
	}
	t.current().CloseIdleConnections()
}
