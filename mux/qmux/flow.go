package qmux

import (
	"time"

	"github.com/backdial/backdial/internal/window"
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
	pool     *window.Pool
	window   window.Window // usually
	least    uint64
	most     uint64
	received uint64
	allowed  uint64
	told     uint64 // allowed, guarded by session.mu
}

// init sizes the window so that a stream does not have to wait for it, which is
// returned when a quarter of it has been used: half as much again as the stream's, at first
// and at most.
func (f *inflow) init(c *mux.Config, pool *window.Pool) {
	f.pool = pool
	f.least = uint64(c.Window)
	f.most = uint64(c.MaxWindow) / 2 * 3
	f.window = pool.New()
	f.window.Size = f.least / 2 * 3
	f.allowed = f.room()
	f.told = f.allowed
}

// room is how large the window is now.
func (f *inflow) room() uint64 { return max(min(f.window.Size, f.pool.Free()), f.least) }

// receive notes that n bytes arrive, or will never, and reports whether that is
// allowed.
func (f *inflow) receive(n uint64) bool {
	if n > f.allowed-f.received {
		return false
	}
	f.received += n
	return true
}

// extend raises what is allowed, and reports whether that is worth a frame. What has been
// allowed remains so.
func (f *inflow) extend(roundTrip time.Duration) bool {
	room := f.room()
	if f.allowed-f.received > room-window.Worth(room, roundTrip) {
		return false
	}
	f.pool.Follow(&f.window, f.received, roundTrip, f.most)
	f.allowed = max(f.allowed, f.received+f.room())
	return true
}
