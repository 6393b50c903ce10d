// Package keepalive finds out whether a peer is still alive.
package keepalive

import (
	"fmt"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

// A Keepalive asks the peer for a sign of life at intervals, with a timer instead of a
// goroutine. It asks, checks a while later whether anything has arrived, and rests for
// what is left of the interval.
type Keepalive struct {
	interval, timeout time.Duration
	session           Session

	mu      sync.Mutex // guards below; held while Session.Ask is called
	timer   *time.Timer
	stopped bool
	asked   bool   // the timer fires when an answer is due
	heard   uint64 // Session.Heard at the question
}

// A Session is what a Keepalive keeps alive.
type Session interface {
	// Heard is how often something has arrived.
	Heard() uint64

	// Ask sends a question. Its error ends the session.
	Ask() error

	// Dead ends the session with err. It may be called after Stop.
	Dead(err error)
}

// Start keeps s alive according to config, until Stop. It returns nil if config disables
// that.
func Start(config mux.Config, s Session) *Keepalive {
	if config.KeepAlive <= 0 {
		return nil
	}
	k := &Keepalive{interval: config.KeepAlive, timeout: config.KeepAliveTimeout, session: s}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(k.interval, k.tick)
	return k
}

// Stop stops k, which may be nil.
func (k *Keepalive) Stop() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.timer.Stop()
}

func (k *Keepalive) tick() {
	if err := k.step(); err != nil {
		k.session.Dead(err)
	}
}

func (k *Keepalive) step() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return nil
	}
	heard := k.session.Heard()
	if k.asked && heard == k.heard {
		return fmt.Errorf("%w: nothing heard for %v after a ping", mux.ErrSilent, k.timeout)
	}
	if rest := k.interval - k.timeout; k.asked && rest > 0 {
		k.asked = false
		k.timer.Reset(rest)
		return nil
	}
	k.asked = true
	k.heard = heard
	if err := k.session.Ask(); err != nil {
		return err
	}
	k.timer.Reset(k.timeout)
	return nil
}
