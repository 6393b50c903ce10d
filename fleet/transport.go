package fleet

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/reverse"
	"github.com/backdial/backdial/rhttp"
)

// A Transport is an [http.RoundTripper] for which the host of a URL is a client's ID:
// http://123/status is what client 123 serves under /status. See [Fleet.Transport].
type Transport struct {
	fleet     *Fleet
	configure []func(*http.Transport)
	waits     bool          // for a client that is away
	patience  time.Duration // how long it waits; 0: until the request's deadline, or waitTimeout

	mu       sync.Mutex // guards below
	sessions map[*member]*rhttp.Transport
}

// Transport returns an [http.RoundTripper] that reaches the clients of the fleet by their ID.
// It keeps connections to each client, and closes them when the client leaves or moves: so
// make one Transport, not one for each request. configure sets fields of the [http.Transport]
// that each session has, as in [rhttp.NewTransport], which says how long a client's answer may
// be.
//
// An [http.Client] follows redirects of a client's answer, which may lead to another client.
// If clients do not trust each other, set its CheckRedirect.
//
// If no connection can be opened for a request because the session has just ended, Transport
// sends the request once more, in the client's next session, provided that it has no body or
// has Request.GetBody. net/http does the same when a kept connection turns out to be dead.
// Errors match the same as those of [Fleet.Dial].
//
// A request without a deadline still ends if its client is stopped, or cut off. It waits for a
// client that is not connected for at most 30 s from its beginning, if at all
// ([WithWaitForClient]). If the client is connected but gives no sign of life for 20 s before
// it answers, the request fails with [rhttp.ErrSilent]: the client may have received it all
// the same, and may still act on it. Once an answer has begun, its body ends with the session:
// within half a minute, unless [transport.WithKeepAlive] says otherwise. A client that is
// alive may take as long as it likes.
func (f *Fleet) Transport(configure ...func(*http.Transport)) *Transport {
	return &Transport{fleet: f, configure: configure, waits: f.waits, sessions: make(map[*member]*rhttp.Transport)}
}

// TryTransport is [Fleet.Transport], but does not wait for a client that is not connected,
// even with [WithWaitForClient]. Use it to look for the client elsewhere.
func (f *Fleet) TryTransport(configure ...func(*http.Transport)) *Transport {
	t := f.Transport(configure...)
	t.waits = false
	return t
}

// waitTimeout limits how long a request without a deadline waits for its client.
const waitTimeout = 30 * time.Second

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	answer, m, err := t.try(r, began)
	if m == nil || !m.hasNoConnection(err) {
		return answer, err
	}
	t.fleet.remove(m, err)
	again, ok := reverse.Rewound(r)
	if !ok {
		return nil, err
	}
	answer, _, err = t.try(again, began)
	return answer, err
}

// try sends a request in the client's current session, which it returns. began is when the
// request began.
func (t *Transport) try(r *http.Request, began time.Time) (*http.Response, *member, error) {
	id := r.URL.Hostname()
	err := CheckID(id)
	var m *member
	if err == nil {
		m, err = t.find(r.Context(), id, began)
	}
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, nil, fmt.Errorf("fleet: %w", err)
	}
	answer, err := t.of(m).RoundTrip(r)
	if err != nil {
		return nil, m, fmt.Errorf("fleet: client %q: %w", id, err)
	}
	return answer, m, nil
}

func (t *Transport) find(ctx context.Context, id string, began time.Time) (*member, error) {
	patience := t.patience
	if _, ok := ctx.Deadline(); !ok && patience == 0 {
		patience = waitTimeout
	}
	if t.waits && patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, began.Add(patience))
		defer cancel()
	}
	return t.fleet.find(ctx, id, t.waits)
}

// of returns the transport of a session.
func (t *Transport) of(m *member) *rhttp.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.sessions[m]
	if of == nil {
		of = rhttp.NewTransport(m.dialer, t.configure...)
		t.sessions[m] = of
		context.AfterFunc(m.dialer.Dialable(), func() { t.forget(m) })
	}
	return of
}

func (t *Transport) forget(m *member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, m)
}

// CloseIdleConnections closes the connections that are kept but not in use.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	sessions := slices.Collect(maps.Values(t.sessions))
	t.mu.Unlock()
	for _, of := range sessions { // without the lock: a client that does not read may block this
		of.CloseIdleConnections()
	}
}
