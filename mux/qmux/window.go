package qmux

import (
	"time"

	"github.com/backdial/backdial/internal/shed"
)

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
	size     uint64
	extended time.Time // for the last time
	since    time.Time // when measuring the reader began
	from     uint64    // bytes that it had read then
}

// want is the size that the window should have, after consumed bytes have been read in
// all: what is read in two round trips. That is known only if a round trip has passed
// since it was measured before.
func (w *window) want(consumed uint64, roundTrip time.Duration) uint64 {
	took, read := w.extended.Sub(w.since), consumed-w.from
	if took < roundTrip {
		return 0
	}
	w.since, w.from = w.extended, consumed
	return uint64(2 * float64(read) / took.Seconds() * roundTrip.Seconds())
}

// worth is how much of a window has to be free to be worth a frame: half. On a long
// path the peer must not have to wait for the other half.
func worth(window uint64, roundTrip time.Duration) uint64 {
	if roundTrip >= worthwhile {
		return window / 8
	}
	return window / 2
}

// extendLocked lets the peer send more, once that is worth a frame.
func (st *Stream) extendLocked() {
	roundTrip := st.s.pings.Shortest()
	if st.finished || st.readErr != nil || st.unextendedLocked() < worth(st.window.size, roundTrip) {
		return
	}
	st.window.extended = time.Now()
	grown := roundTrip >= worthwhile && st.growLocked(roundTrip)
	st.allowed += st.unextendedLocked()
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.granted = st.allowed
	st.s.pendLocked(st, pendingGrant)
	if grown {
		st.s.measureLocked() // the round trip may be shorter than it seemed
	}
}

// unextendedLocked is how much of the window the peer does not know of. It knows
// of more than there is if the window has shrunk.
func (st *Stream) unextendedLocked() uint64 {
	return max(st.consumed+st.window.size, st.allowed) - st.allowed
}

// growLocked enlarges the window if that is what the reader waits for, and
// reports whether it did.
func (st *Stream) growLocked(roundTrip time.Duration) bool {
	w, most := &st.window, uint64(st.s.config.MaxWindow)
	if w.size >= most {
		return false
	}
	want := min(w.want(st.consumed, roundTrip), most)
	if want <= w.size {
		return false
	}
	more := st.s.takeRoom(st, int64(want-w.size))
	w.size += uint64(more)
	return more > 0
}

// shrinkLocked gives back what the window has grown.
func (st *Stream) shrinkLocked() {
	least := uint64(st.s.config.Window)
	st.s.grown.Add(int64(least) - int64(st.window.size))
	st.window.size = least
}

// takeRoom returns by how much the window of st may grow, as more is asked for.
// All windows together grow by no more than half of what is free in the receive
// buffer, so that streams which stall after that have no other reset at once.
func (s *session) takeRoom(st *Stream, more int64) int64 {
	room := func() int64 { return (int64(s.config.ReceiveBuffer)-s.held.Load())/2 - s.grown.Load() }
	if room() < more {
		s.reclaim(st)
	}
	more = max(min(more, room()), 0)
	s.grown.Add(more)
	return more
}

// reclaim takes from streams that have not been read for a while what their
// windows have grown, on behalf of st, whose lock is held. Their peers may use it
// all the same: it counts as theirs again only if they grow again. There is no
// point in looking at all of them more often than they could come to rest.
func (s *session) reclaim(st *Stream) {
	s.mu.Lock()
	var live []*Stream
	if st.window.extended.Sub(s.reclaimed) > shed.Lately {
		s.reclaimed = st.window.extended
		live = s.liveLocked()
	}
	s.mu.Unlock()
	for _, other := range live {
		// One that is locked by someone is in use.
		if other == st || !other.mu.TryLock() {
			continue
		}
		if st.window.extended.Sub(other.window.extended) > shed.Lately {
			other.shrinkLocked()
		}
		other.mu.Unlock()
	}
}
