package engine

import "time"

// No more than a window of a stream arrives per round trip, so on a long path
// the window is what bounds throughput. One that is larger than the path needs
// is no good either: it fills the queues in front of the bottleneck, in which
// all other streams of the session wait too. So a window follows its reader: it
// grows while that reads more than half a window in a round trip, as it can only
// do if it waits for the peer most of the time, and the peer for credit. When the
// reader or the bottleneck sets the pace, the window has reached twice the
// product of bandwidth and delay, and stays.

// worthwhile is the shortest round trip for which windows grow. Up to that the
// default carries 2 Gbit/s.
const worthwhile = time.Millisecond

// A window is how much of a stream the peer may send before it is read.
type window struct {
	size  uint64
	since time.Time // when measuring the reader began
	from  uint64    // bytes that it had read then
}

// extendLocked lets the peer send more, once that is worth a frame: half a
// window. On a long path the peer must not have to wait for the other half.
func (st *Stream) extendLocked() {
	worth, roundTrip := st.window.size/2, st.s.roundTrip.get()
	if roundTrip >= worthwhile {
		worth /= 4
	}
	if st.finished || st.readErr != nil || st.unextendedLocked() < worth {
		return
	}
	grown := st.growLocked(roundTrip)
	more := st.unextendedLocked()
	st.allowed += more
	credit := st.creditLocked()
	credit.Grant = uint32(more)
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.s.appendLocked(Frame{ID: st.id, Credit: credit})
	if grown {
		st.s.measureLocked() // the round trip may be shorter than it seemed
	}
}

// unextendedLocked is how much of the window the peer does not know of.
func (st *Stream) unextendedLocked() uint64 {
	return st.consumed + st.window.size - st.allowed
}

// growLocked enlarges the window if that is what the reader waits for, and
// reports whether it did.
func (st *Stream) growLocked(roundTrip time.Duration) bool {
	w, most := &st.window, uint64(st.s.config.MaxWindow)
	if roundTrip < worthwhile || w.size >= most {
		return false
	}
	now := time.Now()
	took, read := now.Sub(w.since), st.consumed-w.from
	if took < roundTrip {
		return false
	}
	first := w.since.IsZero()
	w.since, w.from = now, st.consumed
	if first {
		return false
	}
	want := min(uint64(2*float64(read)/took.Seconds()*roundTrip.Seconds()), most)
	return want > w.size && st.growToLocked(want)
}

// growToLocked enlarges the window, if the session has that much left: all of
// its windows together grow by no more than half of the receive buffer, so that
// streams which stall after that have no other reset at once.
func (st *Stream) growToLocked(size uint64) bool {
	more := int64(size - st.window.size)
	if st.s.grown.Add(more) > int64(st.s.config.ReceiveBuffer/2) {
		st.s.grown.Add(-more)
		return false
	}
	st.window.size = size
	return true
}

// shrinkLocked gives back what the window has grown.
func (st *Stream) shrinkLocked() {
	least := uint64(st.s.config.Window)
	st.s.grown.Add(int64(least - st.window.size))
	st.window.size = least
}
