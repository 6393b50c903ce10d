package qmux

import (
	"time"

	"github.com/backdial/backdial/mux"
)

// An inflow is the connection's window: how much the peer may send on all streams
// together. It is returned on receipt, so it bounds what is under way, and not what
// has not been read: streams that nobody reads must not stop those that somebody does.
//
// It begins small, because what is under way fills the queues of the path and the
// caches of the processor, and grows as streams' windows do. It shrinks as the receive
// buffer fills up, to that of one stream, so that what is under way does not have
// streams reset that are only slow. For the session's reader, but for told.
type inflow struct {
	window   window // usually
	least    uint64
	most     uint64
	buffer   int64 // for what was not read
	received uint64
	allowed  uint64
	told     uint64 // allowed, guarded by session.mu
}

// init sizes the window so that a stream does not have to wait for it, which is
// returned when half of it has been used: half as much again as the stream's, at first
// and at most.
func (f *inflow) init(c *mux.Config) {
	f.least = uint64(c.Window)
	f.most = uint64(c.MaxWindow) / 2 * 3
	f.buffer = int64(c.ReceiveBuffer)
	f.window.size = f.least / 2 * 3
	f.allowed = f.room(0)
	f.told = f.allowed
}

// room is how large the window is while so many bytes have not been read.
func (f *inflow) room(held int64) uint64 {
	return max(min(f.window.size, uint64(max(f.buffer-held, 0))), f.least)
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
func (f *inflow) extend(held int64, roundTrip time.Duration) bool {
	room := f.room(held)
	if f.allowed-f.received > room-worth(room, roundTrip) {
		return false
	}
	f.window.extended = time.Now()
	if roundTrip >= worthwhile && f.window.size < f.most {
		f.window.size = max(f.window.size, min(f.window.want(f.received, roundTrip), f.most))
		room = f.room(held)
	}
	f.allowed = max(f.allowed, f.received+room)
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
