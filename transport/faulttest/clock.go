package faulttest

import (
	"sync/atomic"
	"testing"
	"time"
)

// patience limits waits without a limit of their own.
const patience = 30 * time.Second

// tick is how often a clock ticks, and how often conditions are checked: seldom enough for
// many tests at a time not to load the machine.
const tick = 10 * time.Millisecond

// A clock counts its ticks. So it stands still while the machine is too busy for them, and for
// everything else.
type clock struct {
	began time.Time
	ticks atomic.Int64
}

// startClock returns a clock that runs until t ends.
func startClock(t *testing.T) *clock {
	c := &clock{began: time.Now()}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case <-time.After(tick):
				c.ticks.Add(1)
			case <-stop:
				return
			}
		}
	}()
	return c
}

// Now is the time by this clock.
func (c *clock) Now() time.Time { return c.began.Add(time.Duration(c.ticks.Load()) * tick) }

// await waits until something is done.
func (r *rig) await(bound time.Duration, what string, done func() bool) {
	r.t.Helper()
	for deadline := r.clock.Now().Add(bound); !done(); <-time.After(tick) {
		if r.clock.Now().After(deadline) {
			r.t.Fatalf("waiting for %s after %v; %s", what, bound, r)
		}
	}
}

// within waits until f returns.
func (r *rig) within(bound time.Duration, what string, f func()) {
	r.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	r.await(bound, what, func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}
