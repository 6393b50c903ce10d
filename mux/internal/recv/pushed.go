package recv

import "github.com/backdial/backdial/mux/internal/window"

// A Pushed is the [Half] of a stream whose peer pushes bytes, as far as a window allows.
// The session's reader puts them into it. Its Read, WriteTo, Check and SetReadDeadline
// are the stream's.
type Pushed struct {
	Half
	owner Owner

	// Guarded by the half's lock.
	window   window.Window // how far ahead of the reader the peer may send
	received uint64        // bytes in total
	allowed  uint64        // bytes that the peer may send in total

	// The reader fills the buffer of a waiting Read directly, if it is large.
	into   []byte
	filled int32

	number    uint32 // of this half, for the role; constant
	accounted int32  // memory of the buffer that is in budget
}

// An Owner is the stream of a [Pushed]: what differs between protocols.
type Owner interface {
	// Extend tells the peer that it may send more bytes than it knows, in total as many as
	// AllowedLocked says. grown reports whether the window has grown. The half is locked.
	Extend(more uint64, grown bool)

	// Abandon resets the stream with err and tells the peer: nobody reads what it holds,
	// and others need the memory.
	Abandon(err error)
}

// Init makes h the receiving half of owner. Its peer may first send one window.
func (h *Pushed) Init(budget *Budget, owner Owner) {
	h.Half.Init()
	h.budget, h.owner = budget, owner
	h.number = h.budget.Role.numbers.Add(1)
	h.window = budget.Windows.New()
	h.allowed = h.window.Size
}

// EndLocked is [Half.EndLocked]. It also releases what the window has grown, for others.
func (h *Pushed) EndLocked(as State, err error) {
	h.Half.EndLocked(as, err)
	h.budget.Windows.Shrink(&h.window)
	if as == Discarding {
		h.accountLocked()
		h.budget.wake() // the session's reader may wait to fill h
		h.budget.Role.Recall()
	}
}

// DropLocked throws away what has arrived.
func (h *Pushed) DropLocked() {
	h.buffer.Drop()
	h.accountLocked()
}

// ReceivedLocked is how many bytes have arrived in total.
func (h *Pushed) ReceivedLocked() uint64 { return h.received }

// SkipLocked counts everything before to as received, although it never arrived.
func (h *Pushed) SkipLocked(to uint64) { h.received = to }

// AllowedLocked is how many bytes the peer may send in total.
func (h *Pushed) AllowedLocked() uint64 { return h.allowed }

// WindowLocked is how far ahead of the reader the peer may send.
func (h *Pushed) WindowLocked() uint64 { return h.window.Size }

// ConsumedLocked is how many bytes have been read.
func (h *Pushed) ConsumedLocked() uint64 {
	return h.received - uint64(h.buffer.Len()) - uint64(h.filled)
}

// TakenLocked implements [Supply].
func (h *Pushed) TakenLocked(int) {
	h.accountLocked()
	h.extendLocked()
}

// accountLocked updates the memory of h in the budget.
func (h *Pushed) accountLocked() {
	memory := int32(h.buffer.Memory())
	if memory != h.accounted {
		h.budget.add(int64(memory - h.accounted))
		h.accounted = memory
	}
}

// extendLocked lets the peer send more once that is worth a frame.
func (h *Pushed) extendLocked() {
	roundTrip := h.budget.session.Shortest()
	if h.state != Open || !h.budget.Windows.IsWorth(&h.window, h.unextendedLocked(), roundTrip) {
		return
	}
	grown := h.budget.Windows.Extend(&h.window, h.ConsumedLocked(), roundTrip, h.reclaim)
	more := h.unextendedLocked()
	h.allowed += more
	h.owner.Extend(more, grown)
}

// unextendedLocked is how much of the window the peer does not know of. It is negative if
// the window has shrunk below what the peer knows.
func (h *Pushed) unextendedLocked() uint64 {
	return max(h.ConsumedLocked()+h.window.Size, h.allowed) - h.allowed
}

// reclaim shrinks grown windows of other streams that have not been read for a while.
func (h *Pushed) reclaim() {
	for _, other := range h.budget.session.Halves() {
		// A locked one is in use.
		if other != h && other.mu.TryLock() {
			h.budget.Windows.Reclaim(&other.window)
			other.mu.Unlock()
		}
	}
}
