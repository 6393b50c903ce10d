// Package deadline makes conditions end at a point in time.
package deadline

import (
	"cmp"
	"math"
	"sync"
	"time"
)

// A Deadline is a point in time that wakes a condition when it comes. Its
// methods are called with the condition's lock held.
type Deadline struct {
	at    time.Duration // after began; zero for none
	timer *time.Timer
}

// began is what points in time are measured from: a number takes less room than a time.
var began = time.Now()

// Set moves d to t and wakes c, so that whoever waits looks at it again.
func (d *Deadline) Set(t time.Time, c *sync.Cond) {
	wait := time.Until(t)
	if d.at = 0; !t.IsZero() {
		// By the clock that the timer goes by: a wall clock may have been set, or be
		// slower, and a reader that is woken then would not see that the time has come.
		now := time.Since(began)
		switch d.at = cmp.Or(now+wait, 1); {
		case wait > 0 && d.at < now: // that is too far away for a number
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

// Stop releases the timer. d remains where it is.
func (d *Deadline) Stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// Passed reports whether the time has come.
func (d *Deadline) Passed() bool {
	return d.at != 0 && time.Since(began) >= d.at
}

// At is when, or zero for never.
func (d *Deadline) At() time.Time {
	if d.at == 0 {
		return time.Time{}
	}
	return time.Now().Add(d.at - time.Since(began))
}
