package qmux

import (
	"time"

	"github.com/backdial/backdial/mux"
)

// An inflow is the connection's window: how much the peer may send on all streams
// together. It is returned on receipt, so it bounds what is under way, and not what
// has not been read: streams that nobody reads must not stop those that somebody does.
// It shrinks as the receive buffer fills up, to that of one stream, so that what is
// under way does not have streams reset that are only slow. For the session's reader,
// but for told.
type inflow struct {
	window   uint64 // usually
	least    uint64
	buffer   int64 // for what was not read
	received uint64
	allowed  uint64
	told     uint64 // allowed, guarded by session.mu
}

// connectionWindow is how many streams' windows the connection's is, at least: with
// fewer, streams beside each other wait for credit.
const connectionWindow = 16

// init sizes the window so that one stream can have the largest there is, and is not
// kept waiting for the connection's, which is returned when half of it has been used.
func (f *inflow) init(c *mux.Config) {
	f.least = uint64(c.Window)
	f.buffer = int64(c.ReceiveBuffer)
	f.window = max(f.least*connectionWindow, uint64(c.MaxWindow)/2*3)
	f.window = f.room(0)
	f.allowed, f.told = f.window, f.window
}

// room is how large the window is while so many bytes have not been read.
func (f *inflow) room(held int64) uint64 {
	return max(min(f.window, uint64(max(f.buffer-held, 0))), f.least)
}

// receive notes that n bytes arrive, or will never, and reports whether that is
// allowed.
func (f *inflow) receive(n uint64) bool {
	if n > f.allowed-f.received {
		return false
	}
	f.received += n
	return true
}

// extend raises what is allowed, while held bytes have not been read, and reports
// whether that is worth a frame. What has been allowed remains so.
func (f *inflow) extend(held int64) bool {
	room := f.room(held)
	if f.allowed-f.received > room/2 {
		return false
	}
	f.allowed = f.received + room
	return true
}

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
