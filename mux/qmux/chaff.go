package qmux

import "time"

// chaff counts frames that carry nothing. They cost a peer almost nothing and this end as
// much as any other frame, so only so many may come without one that carries something.
// Used by the session's reader only.
type chaff struct {
	frames int
	since  time.Time
}

const (
	maxChaff = 10000
	// chaffTime is the time within which no honest peer sends that many. Pings may be all
	// that a peer has to say for a long time.
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
