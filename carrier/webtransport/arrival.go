package webtransport

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// maxWaiting and handshakeTimeout are defaults that [endpoint.LimitHandshakes]
	// changes.
	maxWaiting       = 1024
	handshakeTimeout = defaultHandshakeTimeout

	// verifyAbove is how many connections may exist without a session or a request before
	// the endpoint verifies the source address of another, which costs the client a round
	// trip. Each connection costs some 100 KiB, and anybody can forge an address.
	verifyAbove = 64

	// hurriedHandshake is how long a client may send nothing in the middle of a QUIC
	// handshake while such clients hold half of the places; the whole handshake gets twice
	// that. Otherwise it is 5 s, the default of quic-go.
	hurriedHandshake = 2 * time.Second

	// settingsTimeout is how long a request for a session waits for the client's SETTINGS.
	// They are sent before it, but may be lost once on the way.
	settingsTimeout = 2 * time.Second

	// answerTimeout is how long an answer may wait for its client to take it.
	answerTimeout = 5 * time.Second

	// askAgain is the Retry-After for a client that asks for too many sessions at once.
	askAgain = time.Second
)

// An arrival is a QUIC connection of an endpoint, from its first packet on. It is a value
// in the contexts of the connection and of its requests.
//
// It waits as long as it carries no session and no request is being answered. While it
// waits, it has a place in a queue of limited length, for a limited time.
type arrival struct {
	endpoint *endpoint

	// Guarded by the endpoint's mu.
	quic     *quic.Conn // nil until it has been accepted
	left     bool
	sessions int
	requests int           // requests whose handlers run
	asking   bool          // a request for a session is being decided
	place    *list.Element // in endpoint.waiting, while it waits
	expiry   *time.Timer   // of place
}

type arrivalKey struct{}

func arrivalOf(ctx context.Context) *arrival {
	a, _ := ctx.Value(arrivalKey{}).(*arrival)
	return a
}

var errCrowded = errors.New("too many connections are being opened")

// arrive is called for the first packet of a connection.
func (e *endpoint) arrive(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opening >= e.maxWaiting {
		return nil, errCrowded
	}
	e.opening++
	a := &arrival{endpoint: e}
	context.AfterFunc(ctx, func() { e.forget(a) })
	return context.WithValue(ctx, arrivalKey{}, a), nil
}

// crowded reports whether many clients wait. The server then verifies the source address
// of every new one.
func (e *endpoint) crowded(net.Addr) bool {
	e.mu.Lock()
	crowded := e.opening+e.waiting.Len() >= verifyAbove
	e.mu.Unlock()
	if crowded {
		e.retries.begin()
	}
	return crowded
}

// configOf returns the function that gives quic-go the configuration of each connection,
// which is q, or the result of q's own function. While many handshakes are under way,
// each new one gets less time, so that clients that never finish make room.
func (e *endpoint) configOf(q *quic.Config) func(*quic.ClientInfo) (*quic.Config, error) {
	ask := q.GetConfigForClient
	return func(client *quic.ClientInfo) (*quic.Config, error) {
		config := q
		if ask != nil {
			var err error
			if config, err = ask(client); err != nil {
				return nil, err
			}
		}
		e.mu.Lock()
		hurry := e.opening >= max(e.maxWaiting/2, 1)
		e.mu.Unlock()
		if t := config.HandshakeIdleTimeout; !hurry || t != 0 && t <= hurriedHandshake {
			return config, nil
		}
		config = config.Clone()
		config.HandshakeIdleTimeout = hurriedHandshake
		return config, nil
	}
}

// accept takes qconn in, unless it has ended or the endpoint is closed.
func (e *endpoint) accept(qconn *quic.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := arrivalOf(qconn.Context())
	if a.left {
		return false
	}
	a.quic = qconn
	e.opening--
	if e.closed {
		go hangUp(qconn)
		return false
	}
	e.arrivals[a] = struct{}{}
	e.waitLocked(a, e.handshakeTimeout)
	return true
}

// forget is called when the connection has ended.
func (e *endpoint) forget(a *arrival) {
	e.mu.Lock()
	a.left = true
	if a.quic == nil {
		e.opening--
	}
	e.stopWaitingLocked(a)
	_, accepted := e.arrivals[a]
	delete(e.arrivals, a)
	last := accepted && e.closed && len(e.arrivals) == 0
	e.mu.Unlock()
	if last {
		e.release()
	}
}

// waitLocked gives a a place for timeout; 0 or less means without a limit. If there are
// too many, the arrival that has waited longest is ended, not the new one: honest clients
// do not wait for more than a few round trips.
func (e *endpoint) waitLocked(a *arrival, timeout time.Duration) {
	place := e.waiting.PushBack(a)
	a.place = place
	if timeout > 0 {
		a.expiry = time.AfterFunc(timeout, func() { e.expire(a, place) })
	}
	for e.waiting.Len() > e.maxWaiting {
		longest := e.waiting.Front().Value.(*arrival)
		e.stopWaitingLocked(longest)
		go hangUp(longest.quic)
	}
}

func (e *endpoint) stopWaitingLocked(a *arrival) {
	if a.place == nil {
		return
	}
	e.waiting.Remove(a.place)
	a.place = nil
	if a.expiry != nil {
		a.expiry.Stop()
	}
}

// expire ends a connection that still waits in the same place.
func (e *endpoint) expire(a *arrival, place *list.Element) {
	e.mu.Lock()
	waits := a.place == place
	e.mu.Unlock()
	if waits {
		hangUp(a.quic)
	}
}

// count changes the number of sessions and requests that the connection carries.
func (a *arrival) count(sessions, requests int) {
	e := a.endpoint
	e.mu.Lock()
	defer e.mu.Unlock()
	if a.left {
		return
	}
	a.sessions += sessions
	a.requests += requests
	switch waits := a.sessions == 0 && a.requests == 0; {
	case !waits:
		e.stopWaitingLocked(a)
	case a.place == nil:
		e.waitLocked(a, e.idleTimeoutLocked())
	}
	if e.closed {
		e.retireLocked(a)
	}
}

// ask starts to decide a request for a session. ok is false if another is being decided:
// a client gets one session after the other. decided may be called several times.
func (a *arrival) ask() (decided func(), ok bool) {
	e := a.endpoint
	e.mu.Lock()
	defer e.mu.Unlock()
	if a.asking {
		return nil, false
	}
	a.asking = true
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		a.asking = false
	}), true
}

// decidedKey is the context key of the function to call when the request has been
// decided.
type decidedKey struct{}

// A reception passes requests to a handler. It passes on a request for a session only
// when everything from its client has arrived, so that the handler need not wait for it.
type reception struct {
	http.Handler
	carrier *Carrier
}

func (h reception) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := arrivalOf(r.Context())
	if _, ok := h.carrier.Offer(r); ok {
		decided, ok := a.ask()
		if !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(askAgain.Seconds())))
			http.Error(w, "another request of this connection is being decided", http.StatusServiceUnavailable)
			return
		}
		defer decided()
		r = r.WithContext(context.WithValue(r.Context(), decidedKey{}, decided))
		awaitSettings(w.(response), r)
		w.(response).SetWriteDeadline(time.Now().Add(a.endpoint.answerTimeout()))
	}
	a.count(0, 1)
	defer a.count(0, -1)
	h.Handler.ServeHTTP(w, r)
}

// awaitSettings waits until the client's SETTINGS have arrived, or are late.
func awaitSettings(w response, r *http.Request) {
	late := time.NewTimer(settingsTimeout)
	defer late.Stop()
	select {
	case <-w.ReceivedSettings():
	case <-r.Context().Done():
	case <-late.C:
	}
}
