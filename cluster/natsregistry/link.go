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
	// distrust is for how long after an outage nobody is believed that there is nobody:
	// others are still on their way back to the engine.
	distrust = time.Second

	// complaints is how often what the engine refuses is logged, at most.
	complaints = time.Second
)

// A link is what is known of the connection to the engine. It is told by functions that
// nats.go calls one after the other, so that it can be asked without waiting for nats.go.
type link struct {
	log  *slog.Logger
	back func() // is called when the engine has come back

	mu         sync.Mutex // guards below
	up         bool
	changed    chan struct{} // closed when up changes
	trusted    time.Time     // from then on its word that nobody holds a client is believed
	err        error         // why it is not up; if it is, what the engine has refused since, or nil
	complained time.Time
	ended      bool // by Close: there is nothing to complain of
}

func newLink(log *slog.Logger, back func()) *link {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &link{log: log, back: back, changed: make(chan struct{}), err: errors.New("not connected yet")}
}

// observe has nats.go tell the link, besides whom it tells already.
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

// closedFor is the error when nats.go connects no more. Unless that is because of Close, it
// is for an error that the engine has sent.
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
	l.back() // before others see that it is there, who may have something new to announce
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

// end is told of Close.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// set returns whether that is of interest to anybody.
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

// failed is told why a connection could not be made.
func (l *link) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = redact.Error(err)
	l.complainLocked("natsregistry: no connection to the engine", l.err)
}

// refused is told what the engine does not let the connection do, or why it was lost.
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

// state returns whether the engine is there, a channel that is closed when that changes,
// and why it is not, or what it has refused.
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

// isTrusted reports whether those who were there before an outage are back.
func (l *link) isTrusted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().After(l.trusted)
}
