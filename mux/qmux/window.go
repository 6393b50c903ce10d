package qmux

import "github.com/backdial/backdial/internal/window"

// extendLocked lets the peer send more, once that is worth a frame.
func (st *Stream) extendLocked() {
	roundTrip := st.s.pings.Shortest()
	if st.finished || st.readErr != nil || st.unextendedLocked() < window.Worth(st.window.Size, roundTrip) {
		return
	}
	grown := st.s.windows.Extend(&st.window, st.consumedLocked(), roundTrip, st.reclaim)
	st.allowed += st.unextendedLocked()
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.granted = st.allowed
	st.s.pendLocked(st, pendingGrant)
	if grown {
		st.s.measureLocked() // the round trip may be shorter than it seemed
	}
}

// consumedLocked is how many bytes have been read.
func (st *Stream) consumedLocked() uint64 {
	return st.received - uint64(st.buffer.Len()) - uint64(st.filled)
}

// unextendedLocked is how much of the window the peer does not know of. It knows
// of more than there is if the window has shrunk.
func (st *Stream) unextendedLocked() uint64 {
	return max(st.consumedLocked()+st.window.Size, st.allowed) - st.allowed
}

// reclaim takes from other streams that have not been read for a while what their
// windows have grown.
func (st *Stream) reclaim() {
	for _, other := range st.s.live() {
		// One that is locked by someone is in use.
		if other != st && other.mu.TryLock() {
			st.s.windows.Reclaim(&other.window)
			other.mu.Unlock()
		}
	}
}
