package qmux

import (
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/recv"
	"github.com/backdial/backdial/mux/internal/window"
)

// An inflow is the connection's window: how much the peer may send on all streams
// together. It is returned on receipt, as long as there is memory for what nobody has read
// yet: streams that are not read must not stop others before that is used up. What the
// peer may send and what is held are never more than that memory, so the peer waits then,
// and no stream that is read has to be reset.
//
// The window begins small, because what is under way fills the queues of the path and the
// caches of the processor, and grows as streams' windows do.
type inflow struct {
	budget *recv.Budget
	most   uint64

	mu       sync.Mutex // guards below
	window   window.Window
	received uint64 // bytes that have arrived, or will never
	allowed  uint64 // bytes that the peer may send in all
}

// init sizes the window so that a stream does not have to wait for it, which is
// returned when a quarter of it has been used: half as much again as the stream's, at first
// and at most.
func (f *inflow) init(c *mux.Config, budget *recv.Budget) {
	f.budget = budget
	f.most = uint64(c.MaxWindow) / 2 * 3
	f.window = budget.Windows.New()
	f.window.Size = uint64(c.Window) / 2 * 3
	f.allowed = f.roomLocked()
}

// roomLocked is how large the window can be now. What arrives takes up to twice its size,
// as long as buffers are not full.
func (f *inflow) roomLocked() uint64 { return min(f.window.Size, f.budget.Free()/2) }

// told is what the peer may send in all.
func (f *inflow) told() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.allowed
}

// receive notes that n bytes arrive, or will never, and reports whether that is
// allowed.
func (f *inflow) receive(n uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.allowed-f.received {
		return false
	}
	f.received += n
	return true
}

// extend raises what is allowed, and reports whether that is worth a frame. If memory is
// what the peer waits for, it is to be called again when there is some.
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
	return f.extendLocked(roundTrip) // by what was freed before that
}

func (f *inflow) extendLocked(roundTrip time.Duration) bool {
	room := f.roomLocked()
	if room < minPayload || f.allowed-f.received > room-window.Worth(room, roundTrip) {
		return false
	}
	f.budget.Windows.Follow(&f.window, f.received, roundTrip, f.most)
	f.allowed = max(f.allowed, f.received+f.roomLocked())
	return true
}
