package keepalive

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
)

// An end is one of two that keep each other alive.
type end struct {
	*Keepalive
	peer *end
	path time.Duration // one way
	mute bool          // it answers nothing

	mu           *sync.Mutex // of both ends; guards below
	silent       bool        // what it says is lost
	heard, asked int
	last         time.Time
	unanswered   bool
	died         time.Time
	cause        error
}

func (e *end) Heard() (uint64, time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return uint64(e.heard), e.last
}

func (e *end) Answers() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.unanswered
}

func (e *end) Ask() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	e.unanswered = true
	e.sayLocked(func(peer *end) {
		if !peer.mute {
			peer.sayLocked(func(e *end) { e.unanswered = false })
		}
	})
	return nil
}

func (e *end) Dead(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.died, e.cause = time.Now(), err
}

// sayLocked makes the peer hear something.
func (e *end) sayLocked(means func(peer *end)) {
	if e.silent {
		return
	}
	time.AfterFunc(e.path, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.peer.heard++
		e.peer.last = time.Now()
		means(e.peer)
	})
}

var defaults = mux.Config{}.WithDefaults()

// begin starts two ends.
func begin(t *testing.T, path time.Duration, always bool) (a, b *end) {
	mu := new(sync.Mutex)
	// As at the beginning of a session, neither has answered anything.
	a, b = &end{path: path, last: time.Now(), mu: mu, unanswered: true}, &end{path: path, last: time.Now(), mu: mu, unanswered: true}
	a.peer, b.peer = b, a
	for _, e := range []*end{a, b} {
		e.Keepalive = Start(defaults, e, always)
		t.Cleanup(e.Stop)
	}
	return a, b
}

// TestTurns expects two idle ends to ask little more than once in an interval, both
// together, and to take turns.
func TestTurns(t *testing.T) {
	const intervals = 1000
	for _, path := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			a, b := begin(t, path, false)
			time.Sleep(intervals * defaults.KeepAlive)
			a.mu.Lock()
			defer a.mu.Unlock()
			if most := intervals * 20 / 16; a.asked+b.asked > most || a.cause != nil || b.cause != nil {
				t.Errorf("path of %v: %d and %d questions in %d intervals, want %d in all; ended by %v and %v",
					path, a.asked, b.asked, intervals, most, a.cause, b.cause)
			}
			if least := intervals * 7 / 16; a.asked < least || b.asked < least {
				t.Errorf("path of %v: %d and %d questions in %d intervals, want %d each", path, a.asked, b.asked, intervals, least)
			}
		})
	}
}

// TestSilence silences a peer at any moment. It must be noticed within interval and
// timeout, and not before it had the timeout to say something.
func TestSilence(t *testing.T) {
	least, most := defaults.KeepAliveTimeout, defaults.KeepAlive+defaults.KeepAliveTimeout
	for after := time.Duration(1); after < 5*defaults.KeepAlive; after += 499 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			a, b := begin(t, 0, false)
			time.Sleep(after)
			a.mu.Lock()
			b.silent = true
			a.mu.Unlock()
			silence := time.Now()
			time.Sleep(2 * most)
			a.mu.Lock()
			defer a.mu.Unlock()
			if took := a.died.Sub(silence); !errors.Is(a.cause, mux.ErrSilent) || took < least || took > most {
				t.Errorf("silence after %v is noticed after %v with %v, want mux.ErrSilent after %v to %v", after, took, a.cause, least, most)
			}
		})
	}
}

// TestTalking uses a peer that says something all the time. It must be asked once in two
// intervals if it answers, and in each interval if it does not, or if it wants to hear
// something.
func TestTalking(t *testing.T) {
	const intervals = 100
	for _, test := range []struct {
		name         string
		mute, always bool
		want         int
	}{
		{"answers", false, false, intervals / 2},
		{"answers nothing", true, false, intervals},
		{"wants to hear something", false, true, intervals},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := begin(t, 0, test.always)
				b.Stop()
				b.mute = test.mute
				for range intervals * int(defaults.KeepAlive/time.Second) {
					a.mu.Lock()
					b.sayLocked(func(*end) {})
					a.mu.Unlock()
					time.Sleep(time.Second)
				}
				time.Sleep(time.Second) // for the last question
				a.mu.Lock()
				defer a.mu.Unlock()
				if a.asked != test.want || a.cause != nil {
					t.Errorf("%d questions in %d intervals, want %d; ended by %v", a.asked, intervals, test.want, a.cause)
				}
			})
		})
	}
}
