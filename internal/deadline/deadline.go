// Package deadline makes conditions end at a point in time.
package deadline

import (
	"sync"
	"time"
)

// A Deadline is a point in time that wakes a condition when it comes. Its
// methods are called with the condition's lock held.
type Deadline struct {
	at    time.Time // zero for none
	timer *time.Timer
}

// Set moves d to t and wakes c, so that whoever waits looks at it again.
func (d *Deadline) Set(t time.Time, c *sync.Cond) {
	now := time.Now()
	wait := t.Sub(now)
	if d.at = t; !t.IsZero() {
		// By the clock that the timer goes by: a wall clock may have been set, or be
		// slower, and who is woken then would not see that the time has come.
		d.at = now.Add(wait)
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
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

// At is when, or zero for never.
func (d *Deadline) At() time.Time { return d.at }
