package engine

import (
	"sync"
	"time"
)

// A deadline is a point in time that wakes a condition when it comes. Its
// methods are called with the condition's lock held.
type deadline struct {
	at    time.Time // zero for none
	timer *time.Timer
}

// set moves d to t and wakes c, so that whoever waits looks at it again.
func (d *deadline) set(t time.Time, c *sync.Cond) {
	d.at = t
	d.stop()
	c.Broadcast()
	wait := time.Until(t)
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

// stop releases the timer. d remains where it is.
func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (d *deadline) passed() bool {
	return !d.at.IsZero() && !time.Now().Before(d.at)
}
