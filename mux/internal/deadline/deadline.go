// Package deadline wakes conditions at a point in time.
package deadline

import (
	"cmp"
	"math"
	"sync"
	"time"
)

// A Deadline is a point in time at which a condition is woken. Its methods are called
// with the condition's lock held.
type Deadline struct {
	at    time.Duration // since began; zero for none
	timer *time.Timer
}

// began is the origin of all points in time: a number takes less room than a time.Time.
var began = time.Now()

// Set moves d to t and wakes c, so that its waiters look at d again.
func (d *Deadline) Set(t time.Time, c *sync.Cond) {
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
	c.Broadcast()
	if t.IsZero() || wait <= 0 {
		return
	}
	if d.timer != nil {
		d.timer.Reset(wait)
		return
	}
	d.timer = time.AfterFunc(wait, func() {
		c.L.Lock()
		c.Broadcast()
		c.L.Unlock()
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
