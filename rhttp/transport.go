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

// ErrNoConnection means that no connection could be opened for a request, because the client
// is gone or about to leave. If something was sent before, on a kept connection, it is what
// net/http sends again.
var ErrNoConnection = errors.New("no connection to the client")

// A Transport is an [http.RoundTripper] whose requests all go to one client, over connections
// that it dials and keeps.
//
// When the session drains ([transport.Dialer.Draining]), it closes them by itself: requests
// under way finish, others fail with [ErrNoConnection]. So it delays neither Shutdown of the
// server nor a client that moves. It does not need to be closed. Make one for each session,
// not one for each request: it lives as long as the session.
type Transport struct {
	dialer *transport.Dialer
	conns  *http.Transport
}

// NewTransport returns a Transport for the client of d. The functions in configure may set any
// field of the [http.Transport] underneath except Proxy and those with Dial in their names. By
// default it gives up a Dial after 30 s and a TLS handshake after 10 s, and keeps up to 16
// idle connections per host, for 90 s.
//
// A client's answer may have a header of 64 KiB (MaxResponseHeaderBytes), which takes 2 MiB of
// memory at most, with the smallest fields. 100 informational answers (1xx) may precede it,
// with as many bytes in all. Trailers of 4 KiB (ReadBufferSize) may follow a body in chunks,
// or with HTTP/2 as many bytes as in a header. Beyond that the request or its body fails.
// There is no limit for the body itself, nor for the time that an answer takes. But if a
// client has not answered after 5 s, Transport asks it for a sign of life, again and again: if
// the client gives none for 15 s, the request fails with [ErrSilent].
func NewTransport(d *transport.Dialer, configure ...func(*http.Transport)) *Transport {
	t := &Transport{dialer: d}
	t.conns = reverse.NewTransport(t.dial, configure...)
	context.AfterFunc(d.Dialable(), func() { drain(d, t) })
	return t
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.dialer.Dialable().Err() != nil { // do not use a kept connection either
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

// CloseIdleConnections closes the connections that are kept but not in use.
func (t *Transport) CloseIdleConnections() { t.conns.CloseIdleConnections() }

// drainInterval is how often a draining session gives up connections that have become idle
// meanwhile. With HTTP/2 nothing tells when one does.
const drainInterval = 100 * time.Millisecond

// drain closes connections of t, to the client of d, that are not in use, until the session has
// ended. It runs in a goroutine that ends with the session.
func drain(d *transport.Dialer, t interface{ CloseIdleConnections() }) {
	ticker := time.NewTicker(drainInterval)
	defer ticker.Stop()
	for {
		t.CloseIdleConnections()
		select {
		case <-ticker.C:
		case <-d.Done():
			t.CloseIdleConnections()
			return
		}
	}
}
