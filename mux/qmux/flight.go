package qmux

import (
	"math"
	"slices"
)

// A flight is what is on its way to a peer that is not of this library, and the
// connection's credit that may be lost there.
//
// Whoever receives has to count all that comes, also of a stream that it has asked this
// end to stop (RFC 9000, section 4.4). There are peers that do not: what was on its way
// when they stopped the stream takes connection credit which they never return. If that
// is more than half of their window, as a receiver returns credit when half of it has
// been used, the session stands still for good.
//
// So a stream may have little on its way, a quarter of what can still be lost, and what
// has arrived is known by QX_PING: records are in order, so the answer says that all
// before the request is there. Guarded by session.Mu.
type flight struct {
	window  uint64    // of the peer's connection; 0 for one of this library, and nothing to look after
	streams []*stream // of which not all is known to have arrived
	sweepAt int       // how many of them are worth a look
	unasked uint64    // bytes that were sent after the last request

	lost      uint64 // bytes that the peer may never have counted, at most
	credits   uint64 // how often it has returned credit
	uncounted uint64 // bytes it had not counted then, and those of streams that it stopped since
}

// A flown is what has left of a stream.
type flown struct {
	window      uint64 // what the peer allowed at first
	arrived     uint64 // bytes that the peer is known to have
	asked       uint64 // bytes that it has when it answers
	flies       bool   // it is in flight.streams
	credits     uint64 // flight.credits, when it sent for the last time
	sinceCredit uint64 // bytes that were sent after that credit
}

// joinLocked notes that st has been opened, of which the peer allows so much.
func (f *flight) joinLocked(st *stream, window uint64) {
	st.limit = window
	if f.window > 0 {
		st.flown = &flown{window: window}
	}
}

const (
	// minFlight is how much of a stream may be under way in any case: a record.
	minFlight = minRecordSize

	// askEvery is after how many bytes the peer is asked what has arrived, unless it
	// is being asked already.
	askEvery = 64 << 10

	// maxUnasked is after how many streams it is: each is remembered that long.
	maxUnasked = 64

	// maxUnanswered is how many streams are remembered that are over, by when the peer
	// has to answer. Whoever does not answer loses the watch over what they may lose.
	maxUnanswered = 1024
)

// fatal is how much the peer can lose before it returns no credit any more.
func (f *flight) fatal() uint64 { return f.window / 2 }

// roomLocked is how much more of st may leave now. When it is less than is worth a frame
// st is woken when there is more.
func (f *flight) roomLocked(st *stream) uint64 {
	if f.window == 0 {
		return math.MaxUint64
	}
	most := max((f.fatal()-min(f.lost, f.fatal()))/4, minFlight)
	return most - min(st.sent-st.flown.arrived, most)
}

// departLocked notes that n bytes of st have been put into the batch.
func (s *session) departLocked(st *stream, n uint64) {
	f := &s.flight
	if f.window == 0 {
		return
	}
	if !st.flown.flies {
		st.flown.flies = true
		f.remember(st)
	}
	if st.flown.credits != f.credits {
		st.flown.credits, st.flown.sinceCredit = f.credits, 0
	}
	st.flown.sinceCredit += n
	f.unasked += n
	if f.unasked >= askEvery || len(f.streams) >= maxUnasked {
		s.MeasureLocked()
	}
}

// remember notes that st has something on its way.
func (f *flight) remember(st *stream) {
	if f.streams = append(f.streams, st); len(f.streams) <= max(f.sweepAt, maxUnanswered) {
		return
	}
	f.streams = slices.DeleteFunc(f.streams, func(st *stream) bool { return st.over && st.closed })
	f.sweepAt = 2 * len(f.streams)
}

// asked notes that a request leaves behind all that has been put into the batch.
func (f *flight) asked() {
	for _, st := range f.streams {
		st.flown.asked = st.sent
	}
	f.unasked = 0
}

// answeredLocked notes that all has arrived which was sent before the last request.
func (s *session) answeredLocked() {
	f := &s.flight
	answered := slices.Clone(f.streams)
	f.streams = slices.DeleteFunc(f.streams, func(st *stream) bool {
		st.flown.arrived = max(st.flown.arrived, st.flown.asked)
		st.flown.flies = st.flown.arrived < st.sent
		return !st.flown.flies
	})
	for _, st := range answered {
		s.sendLocked(st)
	}
	if len(f.streams) > 0 {
		s.MeasureLocked()
	}
}

// readLocked notes that the peer has let st have credit up to limit, as it does when it
// has read what is a window less.
func (f *flight) readLocked(st *stream, limit uint64) {
	if st.flown == nil {
		return
	}
	if window := st.flown.window; limit > window {
		st.flown.arrived = max(st.flown.arrived, min(limit-window, st.sent))
	}
}

// find returns the stream with this id of which not all is known to have arrived.
func (f *flight) find(id uint64) *stream {
	i := slices.IndexFunc(f.streams, func(st *stream) bool { return st.id == id })
	if i < 0 {
		return nil
	}
	return f.streams[i]
}

// stoppedLocked notes that the peer wants no more of st: what is on its way may be lost.
func (s *session) stoppedLocked(st *stream) {
	f := &s.flight
	if st == nil || f.window == 0 {
		return
	}
	if st.flown.credits == f.credits {
		f.uncounted += st.flown.sinceCredit
		st.flown.sinceCredit = 0
	}
	f.lost = min(f.lost+st.sent-st.flown.arrived, f.uncounted)
	st.flown.arrived = st.sent // it is not lost twice
	s.watchCreditLocked()
}

// creditedLocked notes that the peer has returned credit, which says what it has counted.
func (s *session) creditedLocked() {
	f := &s.flight
	f.credits++
	f.uncounted = f.window - min(s.out.maxData-s.out.sent, f.window)
	f.lost = min(f.lost, f.uncounted)
	s.watchdog.rest()
}
