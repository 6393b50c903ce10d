// Package chaff counts frames that carry nothing. They cost a peer almost nothing, and this end
// as much as any other frame, so only so many may come without one that carries something.
package chaff

import "time"

const (
	// Max is how many such frames are too many within Time, in which no honest peer sends
	// that many.
	Max = 10000

	// Time is finite because pings may be all that a peer has to say for a long time.
	Time = 10 * time.Second
)

// A Counter counts the frames of one connection, from one goroutine. The zero value is ready
// to use.
type Counter struct {
	frames int
	since  time.Time
}

// Add counts a frame, and reports whether there are too many.
func (c *Counter) Add() bool {
	c.frames++
	if c.frames < Max {
		return false
	}
	now := time.Now()
	if now.Sub(c.since) < Time {
		return true
	}
	c.frames, c.since = 0, now
	return false
}

// None notes a frame that carries something.
func (c *Counter) None() { c.frames = 0 }
