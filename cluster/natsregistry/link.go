package natsregistry

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/redact"
)

const (
	// distrust is how long after an outage the engine is not believed that no replica holds a
	// client: others are still on their way back to it.
	distrust = time.Second

	// complaints is how often refusals of the engine are logged, at most.
	complaints = time.Second
)

// A link is the state of the connection to the engine. Functions that nats.go calls one after
// the other set it, so that reading it need not wait for nats.go.
type link struct {
	log  *slog.Logger
	back func() // called when the engine has come back

	mu         sync.Mutex // guards below
	up         bool
	changed    chan struct{} // closed when up changes
	trusted    time.Time     // from then on its word that nobody holds a client is believed
	err        error         // if down, why; if up, what the engine has refused since then, or nil
	complained time.Time
	ended      bool // by Close: log nothing more
}

func newLink(log *slog.Logger, back func()) *link {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &link{log: log, back: back, changed: make(chan struct{}), err: errors.New("not connected yet")}
}

// observe makes nats.go report to the link, in addition to the user's functions.
func (l *link) observe(o *nats.Options) {
	connected, reconnected, disconnected, closed := o.ConnectedCB, o.ReconnectedCB, o.DisconnectedErrCB, o.ClosedCB
	failed, complained := o.ReconnectErrCB, o.AsyncErrorCB
	o.ConnectedCB = func(nc *nats.Conn) { l.connected(nc); call(connected, nc) }
	o.ReconnectedCB = func(nc *nats.Conn) { l.connected(nc); call(reconnected, nc) }
	o.ClosedCB = func(nc *nats.Conn) { l.disconnected(closedFor(nc.LastError()), "closed for good"); call(closed, nc) }
	o.DisconnectedErrCB = func(nc *nats.Conn, err error) {
		l.disconnected(err, "lost")
		if disconnected != nil {
			disconnected(nc, err)
		}
	}
	o.ReconnectErrCB = func(nc *nats.Conn, err error) {
		l.failed(err)
		if failed != nil {
			failed(nc, err)
		}
	}
	o.AsyncErrorCB = func(nc *nats.Conn, s *nats.Subscription, err error) {
		l.refused(err)
		if complained != nil {
			complained(nc, s, err)
		}
	}
}

// closedFor returns the error when nats.go stops connecting. Unless that is because of Close,
// the reason is an error that the engine has sent.
func closedFor(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("closed for good, until the program makes a new registry (Connect): %w", err)
}

func call(f nats.ConnHandler, nc *nats.Conn) {
	if f != nil {
		f(nc)
	}
}

func (l *link) connected(nc *nats.Conn) {
	l.back() // before others see the connection and announce something newer
	if l.set(true, nil) {
		l.log.Info("natsregistry: connected to the engine", "server", redact.Text(nc.ConnectedServerName()))
	}
}

func (l *link) disconnected(err error, how string) {
	if err == nil {
		err = errors.New("the connection is " + how)
	}
	err = redact.Error(err)
	if l.set(false, err) {
		l.log.Warn("natsregistry: the connection to the engine is "+how, "err", err)
	}
}

// end notes that Close was called.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// set sets the state, and reports whether to log that.
func (l *link) set(up bool, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	if up {
		l.trusted = time.Now().Add(distrust)
	}
	if up != l.up {
		l.up = up
		close(l.changed)
		l.changed = make(chan struct{})
	}
	return !l.ended
}

// failed notes why a connection could not be made.
func (l *link) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = redact.Error(err)
	l.complainLocked("natsregistry: no connection to the engine", l.err)
}

// refused notes what the engine does not let the connection do, or why it was lost.
func (l *link) refused(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = redact.Error(err)
	l.complainLocked("natsregistry: the engine complains", l.err)
}

func (l *link) complainLocked(what string, err error) {
	if !l.ended && time.Since(l.complained) >= complaints {
		l.complained = time.Now()
		l.log.Warn(what, "err", err)
	}
}

// state returns whether the engine is there, a channel that is closed when that changes, and
// why it is not there, or what it has refused.
func (l *link) state() (up bool, changed <-chan struct{}, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up, l.changed, l.err
}

// trust says that the engine was there before this registry.
func (l *link) trust() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trusted = time.Time{}
}

// isTrusted reports whether replicas that were there before an outage have had the time to
// return.
func (l *link) isTrusted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().After(l.trusted)
}
