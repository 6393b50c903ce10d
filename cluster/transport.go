package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/reverse"
)

// remoteIdleTimeout is for how long a connection to a client of another replica is kept:
// that replica cannot tell that the client is to move.
const remoteIdleTimeout = 5 * time.Second

// A Transport is an [http.RoundTripper] for which the host of a URL is a client's ID:
// http://123/status is what client 123 serves under /status, wherever it is connected.
// See [Cluster.Transport].
type Transport struct {
	cluster *Cluster
	here    *fleet.Transport // nil for a service
	others  *http.Transport
}

// Transport returns an [http.RoundTripper] that reaches clients by their ID. It keeps
// connections to them: so make one, and not one for a request. configure sets fields of
// the [http.Transport] underneath, as in [fleet.Fleet.Transport].
//
// Clients of this process are reached as by a transport of its fleet. A connection to
// a client of another replica is kept for 5 s at most, because it holds up the client's
// move for so long. Errors match what those of [Cluster.Dial] do.
//
// [http.Transport]: https://pkg.go.dev/net/http#Transport
func (c *Cluster) Transport(configure ...func(*http.Transport)) *Transport {
	t := &Transport{cluster: c}
	if c.clients != nil {
		t.here = c.clients.Transport(configure...)
	}
	t.others = reverse.NewTransport(t.dial, configure...)
	if t.others.IdleConnTimeout <= 0 || t.others.IdleConnTimeout > remoteIdleTimeout {
		t.others.IdleConnTimeout = remoteIdleTimeout
	}
	return t
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
	if err := fleet.CheckID(r.URL.Hostname()); err != nil { // which DialContext would not see all of
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return t.others.RoundTrip(r)
}

// CloseIdleConnections closes the connections that are kept and not in use.
func (t *Transport) CloseIdleConnections() {
	if t.here != nil {
		t.here.CloseIdleConnections()
	}
	t.others.CloseIdleConnections()
}
