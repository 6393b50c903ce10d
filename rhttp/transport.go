package rhttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/backdial/backdial/internal/reverse"
	"github.com/backdial/backdial/transport"
)

// ErrNoConnection is matched by the error of a request for which no connection could
// be opened, because the client is gone or about to leave. If something was sent before,
// on a connection that was kept, it is what net/http sends again.
var ErrNoConnection = errors.New("no connection to the client")

// A Transport is an [http.RoundTripper] whose requests all go to one client, over
// connections that it dials and keeps.
//
// It gives them up by itself when the session drains ([transport.Dialer.Draining]):
// requests that are under way are finished, others fail with [ErrNoConnection]. So it
// holds up neither Shutdown of the server nor a client that is to move. It needs no
// closing. Make one for a session, and not one for a request: it lives as long as the
// session.
type Transport struct {
	dialer *transport.Dialer
	conns  *http.Transport
}

// NewTransport returns a Transport for the client of d. The functions in configure may
// set any field of the [http.Transport] underneath but Proxy and those with Dial in
// their names. By default it gives up a Dial after 30 s and a TLS handshake after 10 s,
// and keeps up to 16 idle connections per host, for 90 s.
//
// A client's answer may have a header of 64 KiB (MaxResponseHeaderBytes), which takes 2 MiB
// of memory at most, with the smallest fields. Before it there may be 100 informational
// answers (1xx), of as many bytes together; after a body in chunks there may be trailers of
// 4 KiB (ReadBufferSize), and with HTTP/2 of as many bytes as a header. With more the
// request fails, and so does its body. The body itself is not bounded, nor is the time that
// an answer takes. But a client that has not answered after 5 s is asked for a sign of life,
// again and again: a request whose client gives none for 15 s fails with [ErrSilent].
func NewTransport(d *transport.Dialer, configure ...func(*http.Transport)) *Transport {
	t := &Transport{dialer: d}
	t.conns = reverse.NewTransport(t.dial, configure...)
	context.AfterFunc(d.Dialable(), t.drain)
	return t
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.dialer.Dialable().Err() != nil { // not on a connection that was kept, either
		if r.Body != nil {
			r.Body.Close()
		}
		_, err := t.dial(r.Context(), "", "")
		return nil, err
	}
	v, watched := t.watch(r)
	answer, err := reverse.RoundTrip(t.conns, watched)
	v.end(answer)
	if err == nil {
		answer.Request = r
	}
	return answer, err
}

func (t *Transport) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, reverse.DialTimeout)
	defer cancel()
	conn, err := t.dialer.DialContext(ctx, "", "")
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, transport.ErrClientGone), errors.Is(err, transport.ErrDraining), errors.Is(err, net.ErrClosed):
		return nil, &reverse.NoConnectionError{Session: t.dialer, Err: fmt.Errorf("rhttp: %w: %w", ErrNoConnection, err)}
	}
	return nil, fmt.Errorf("rhttp: %w", err)
}

// CloseIdleConnections closes the connections that are kept and not in use.
func (t *Transport) CloseIdleConnections() { t.conns.CloseIdleConnections() }

// drainInterval is how often a session that drains is relieved of the connections that
// have become idle meanwhile. Nobody tells when one does, with HTTP/2.
const drainInterval = 100 * time.Millisecond

// drain gives up what is not in use, until the session has ended. It runs in a
// goroutine that ends with that.
func (t *Transport) drain() {
	ticker := time.NewTicker(drainInterval)
	defer ticker.Stop()
	for {
		t.conns.CloseIdleConnections()
		select {
		case <-ticker.C:
		case <-t.dialer.Done():
			t.conns.CloseIdleConnections()
			return
		}
	}
}
