// Package keepalive finds out whether a peer is still alive.
package keepalive

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

// A Keepalive asks the peer for a sign of life when nothing has arrived for an interval,
// and ends the session if nothing arrives then either. It needs a timer and no goroutine.
//
// On an idle session one question serves both ends: the end that is asked hears from its
// peer too, and does not ask. The ends take turns, because the one that asked last waits
// a little longer. So each end asks once in two intervals, and knows the round trip.
//
// A peer that goes on sending is asked once in two intervals too, because it may be deaf.
// A peer that has not answered is asked once in each interval, whatever it sends.
type Keepalive struct {
	interval, timeout time.Duration
	always            bool
	session           Session

	mu      sync.Mutex // guards below; held while methods of Session are called
	timer   *time.Timer
	stopped bool
	asked   time.Time // when the last question was sent, or the start
	turn    bool      // this end has yet to ask, or the peer has asked since
	waits   bool      // nothing was heard since, as far as is known
	heard   uint64    // Session.Heard at the question

	// How much earlier than the interval this end asks: in its turn, and otherwise. Both are
	// drawn for each question, so two ends that have asked at the same time do not go on
	// like that.
	early, late time.Duration
}

// A Session is what a Keepalive keeps alive.
type Session interface {
	// Heard is how often something has arrived, and when it last did.
	Heard() (times uint64, last time.Time)

	// Answers reports whether the peer answers questions: it has answered the last one.
	Answers() bool

	// Ask sends a question. Its error ends the session.
	Ask() error

	// Dead ends the session with err. It may be called after Stop.
	Dead(err error)
}

// Start keeps s alive according to config, until Stop. With always, it asks in each
// interval, whatever the peer sends: the peer wants to hear something. Start returns nil
// if config disables all that.
func Start(config mux.Config, s Session, always bool) *Keepalive {
	if config.KeepAlive <= 0 {
		return nil
	}
	k := &Keepalive{interval: config.KeepAlive, timeout: config.KeepAliveTimeout, session: s, always: always, asked: time.Now(), turn: true}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drawLocked()
	k.timer = time.AfterFunc(k.interval-k.early, k.tick)
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

func (k *Keepalive) drawLocked() {
	half := k.interval / 32
	k.late = rand.N(half + 1)
	k.early = half + rand.N(half+1)
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
	times, last := k.session.Heard()
	if k.waits && times == k.heard {
		if rest := time.Until(k.asked.Add(k.timeout)); rest > 0 {
			k.timer.Reset(rest)
			return nil
		}
		return fmt.Errorf("%w: nothing heard for %v after a ping", mux.ErrSilent, k.timeout)
	}
	k.waits = false
	if rest := time.Until(k.dueLocked(last)); rest > 0 {
		k.timer.Reset(rest)
		return nil
	}
	k.asked, k.turn, k.waits, k.heard = time.Now(), false, true, times
	k.drawLocked()
	if err := k.session.Ask(); err != nil {
		return err
	}
	k.timer.Reset(min(k.timeout, k.interval-k.late)) // when an answer is due, or perhaps the next question
	return nil
}

// dueLocked returns when to ask. last is when the peer was last heard.
func (k *Keepalive) dueLocked(last time.Time) time.Time {
	if k.always || !k.session.Answers() {
		return k.asked.Add(k.interval)
	}
	due := last.Add(k.interval - k.late)
	if k.turn = k.turn || last.Sub(k.asked) > k.interval/2; k.turn { // that was no answer
		due = last.Add(k.interval - k.early)
	}
	if most := k.asked.Add(2 * k.interval); most.Before(due) {
		return most
	}
	return due
}
