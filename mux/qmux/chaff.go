package qmux

import "time"

// A chaff counts frames that carry nothing. They cost a peer as little as anything
// can, and this end as much as others, so there is a limit to how many come without
// any that do. For the session's reader.
type chaff struct {
	frames int
	since  time.Time
}

const (
	maxChaff = 10000
	// chaffTime is how long that many last a peer that does nothing wrong: pings may
	// be all that there is to say for a long time.
	chaffTime = 10 * time.Second
)

// add counts a frame, and reports whether there are too many.
func (c *chaff) add() bool {
	c.frames++
	if c.frames < maxChaff {
		return false
	}
	now := time.Now()
	if now.Sub(c.since) < chaffTime {
		return true
	}
	c.frames, c.since = 0, now
	return false
}

// none notes a frame that carries something.
func (c *chaff) none() { c.frames = 0 }
