package qmux

import (
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/recv"
	"github.com/backdial/backdial/mux/internal/window"
)

// inflow is the connection's window: how much the peer may send on all streams together.
// Its credit is returned on receipt as long as there is memory for unread data, so that
// unread streams stop others only when that memory is used up. The credit given and the
// data held never exceed that memory. At the limit the peer waits, and no stream that is
// read has to be reset.
//
// The window begins small, because data on its way fills the path's queues and the
// processor's caches. It grows as the windows of streams do, and with them.
type inflow struct {
	budget *recv.Budget
	most   uint64

	mu       sync.Mutex // guards below
	window   window.Window
	received uint64 // bytes that have arrived, or never will
	allowed  uint64 // bytes that the peer may send in total
}

// init sizes the window so that a single stream never waits for it. Credit is returned
// when half of the window has been used, at the latest, so the window is twice as large as
// the stream's, initially and at most.
func (f *inflow) init(c *mux.Config, budget *recv.Budget) {
	f.budget = budget
	f.most = beside(uint64(c.MaxWindow))
	f.window = budget.Windows.New()
	f.window.Size = beside(uint64(c.Window))
	f.allowed = f.roomLocked()
}

// beside is the connection's window beside a stream's.
func beside(stream uint64) uint64 { return 2 * stream }

// widen notes that a stream's window has grown, to this size. If each waited for the other to
// show that it is used up, both would grow at half the speed.
func (f *inflow) widen(stream uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.window.Size = max(f.window.Size, beside(stream))
	f.allowed = max(f.allowed, f.received+f.roomLocked())
}

// roomLocked is how large the window can be now. Unless buffers are full, what arrives
// takes up to twice its size.
func (f *inflow) roomLocked() uint64 { return min(f.window.Size, f.budget.Free()/2) }

// told is what the peer may send in total.
func (f *inflow) told() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.allowed
}

// receive notes that n bytes have arrived, or never will, and reports whether the peer
// was allowed to send them.
func (f *inflow) receive(n uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.allowed-f.received {
		return false
	}
	f.received += n
	return true
}

// extend raises what is allowed, and reports whether that is worth a frame. If the peer
// waits for memory, call it again when there is some.
func (f *inflow) extend(roundTrip time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.extendLocked(roundTrip) {
		return true
	}
	if f.allowed-f.received >= maxPayload || f.roomLocked() == f.window.Size {
		return false
	}
	f.budget.Block()
	return f.extendLocked(roundTrip) // count what was freed meanwhile
}

// raise raises what is allowed for a batch that leaves anyway, and reports whether that is
// worth a frame. So a stream's credit takes the connection's along, which then hardly ever
// costs a write of its own.
func (f *inflow) raise(roundTrip time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.raiseLocked(roundTrip, f.roomLocked()/8)
}

func (f *inflow) extendLocked(roundTrip time.Duration) bool {
	return f.raiseLocked(roundTrip, window.Worth(f.roomLocked(), roundTrip))
}

// raiseLocked raises what is allowed if that is at least so much more.
func (f *inflow) raiseLocked(roundTrip time.Duration, more uint64) bool {
	room := f.roomLocked()
	if room < minPayload || f.allowed-f.received > room-more {
		return false
	}
	f.budget.Windows.Follow(&f.window, f.received, roundTrip, f.most)
	f.allowed = max(f.allowed, f.received+f.roomLocked())
	return true
}

// arrivals tells whether several streams send. Guarded by session.Mu.
type arrivals struct {
	last  uint64 // the id of the stream whose data came last
	turns bool   // the data before that was another stream's
}

// noteLocked notes that data of st arrives.
func (a *arrivals) noteLocked(st *stream) {
	a.turns, a.last = a.last != st.id, st.id
}
