package rhttp

import (
	"context"
	"net/http"
	"sync"

	"github.com/backdial/backdial/internal/reverse"
	"github.com/backdial/backdial/transport"
)

// newFront returns an [http.Transport] that has a [Transport] do its requests to the client
// of d. Users may change its fields before the first request, as those of wslis do.
//
// It has its own connections for one kind of request alone, which net/http does not hand to
// what is registered: those that ask for an upgrade over https.
func newFront(d *transport.Dialer) *http.Transport {
	b := &back{transport: Transport{dialer: d}}
	b.front = reverse.NewTransport(b.transport.dial)
	b.front.RegisterProtocol("http", b)
	b.front.RegisterProtocol("https", secure{b})
	context.AfterFunc(d.Dialable(), func() { drain(d, b.front) })
	return b.front
}

// A back does the requests of a front.
type back struct {
	front     *http.Transport
	transport Transport

	mu    sync.Mutex // guards transport.conns until the first request
	begun bool       // transport.conns has been made, of what the front is by then
}

// RoundTrip implements [http.RoundTripper].
func (b *back) RoundTrip(r *http.Request) (*http.Response, error) {
	b.begin()
	return b.transport.RoundTrip(r)
}

func (b *back) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun {
		return
	}
	b.begun = true
	b.transport.conns = b.front.Clone() // which does not copy what is registered
	reverse.Own(b.transport.conns, b.transport.dial)
}

// CloseIdleConnections closes the idle connections that there are. Before the first request
// the front may still be changed.
func (b *back) CloseIdleConnections() {
	b.mu.Lock()
	begun := b.begun
	b.mu.Unlock()
	if begun {
		b.transport.CloseIdleConnections()
	}
}

// A secure is what is registered for https. It has the shape of what golang.org/x/net/http2
// registers: net/http then leaves HTTP/2 to it, and calls CloseIdleConnections of its field.
type secure struct{ Back *back }

// RoundTrip implements [http.RoundTripper].
func (s secure) RoundTrip(r *http.Request) (*http.Response, error) { return s.Back.RoundTrip(r) }
