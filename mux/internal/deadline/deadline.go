// Package deadline wakes calls at a point in time.
package deadline

import (
	"cmp"
	"math"
	"sync"
	"time"
)

// Waiters are calls that wait, and look at their deadline whenever they are woken.
type Waiters interface {
	sync.Locker
	WakeLocked()
}

// OnCond returns the calls that wait for c.
func OnCond(c *sync.Cond) Waiters { return onCond{c} }

type onCond struct{ *sync.Cond }

func (c onCond) Lock()       { c.L.Lock() }
func (c onCond) Unlock()     { c.L.Unlock() }
func (c onCond) WakeLocked() { c.Broadcast() }

// A Deadline is a point in time at which calls are woken. Its methods are called with
// their lock held.
type Deadline struct {
	at    time.Duration // since began; zero for none
	timer *time.Timer
}

// began is the origin of all points in time: a number takes less room than a time.Time.
var began = time.Now()

// Set moves d to t and wakes w, so that they look at d again.
func (d *Deadline) Set(t time.Time, w Waiters) {
	wait := time.Until(t)
	if d.at = 0; !t.IsZero() {
		// Use the clock of the timer. A wall clock may be set or run slower, and a reader
		// woken by the timer would not see that the time has come.
		now := time.Since(began)
		switch d.at = cmp.Or(now+wait, 1); {
		case wait > 0 && d.at < now: // too far away for a number
			d.at = math.MaxInt64
		case wait < 0 && d.at > now:
			d.at = math.MinInt64
		}
	}
	d.Stop()
	w.WakeLocked()
	if t.IsZero() || wait <= 0 {
		return
	}
	if d.timer != nil {
		d.timer.Reset(wait)
		return
	}
	d.timer = time.AfterFunc(wait, func() {
		w.Lock()
		w.WakeLocked()
		w.Unlock()
	})
}

// Stop releases the timer. d keeps its time.
func (d *Deadline) Stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// Passed reports whether the time has come.
func (d *Deadline) Passed() bool {
	return d.at != 0 && time.Since(began) >= d.at
}

// At returns the time, or zero for never.
func (d *Deadline) At() time.Time {
	if d.at == 0 {
		return time.Time{}
	}
	return time.Now().Add(d.at - time.Since(began))
}
