package qmux

import (
	"math"
	"slices"
)

// flight tracks what is on its way to a peer of another library, and how much of the
// connection's credit may be lost there.
//
// A receiver must count everything that arrives, even on a stream that it has asked this
// end to stop (RFC 9000, section 4.4). Some peers do not: they never return the credit
// for what was on its way when they stopped the stream. A receiver returns credit when
// half of its window has been used, so once more than half is lost, the session stands
// still for good.
//
// So each stream may have only a little on its way: a quarter of what can still be lost.
// QX_PING shows what has arrived: records are in order, so the answer proves that the
// peer has everything sent before the request. Guarded by session.Mu.
type flight struct {
	window  uint64    // of the peer's connection; 0 for a peer of this library, which needs no tracking
	streams []*stream // with data that may not have arrived
	sweepAt int       // the length at which streams is next cleared of streams that are over
	unasked uint64    // bytes sent after the last request

	lost      uint64 // at most so many bytes the peer may never have counted
	credits   uint64 // how often it has returned credit
	uncounted uint64 // bytes it had not counted then, and those of streams that it stopped since
}

// flown is what was sent on a stream.
type flown struct {
	window      uint64 // what the peer allowed at first
	arrived     uint64 // bytes that the peer is known to have
	asked       uint64 // bytes that the next answer proves
	flies       bool   // whether it is in flight.streams
	credits     uint64 // flight.credits when it last sent
	sinceCredit uint64 // bytes sent after that credit
}

// joinLocked notes that st has been opened with a window of so many bytes.
func (f *flight) joinLocked(st *stream, window uint64) {
	st.limit = window
	if f.window > 0 {
		st.flown = &flown{window: window}
	}
}

const (
	// minFlight is how much of a stream may always be on its way: a record.
	minFlight = minRecordSize

	// askEvery is the number of bytes after which the peer is asked what has arrived,
	// unless a request is under way.
	askEvery = 64 << 10

	// maxUnasked is the number of streams after which it is asked: each one is remembered
	// until then.
	maxUnasked = 64

	// maxUnanswered is how many finished streams are remembered until the peer answers. A
	// peer that does not answer loses the protection of the others.
	maxUnanswered = 1024
)

// fatalLocked is the loss after which the peer returns no more credit.
func (f *flight) fatalLocked() uint64 { return f.window / 2 }

// roomLocked is how much more of st may be sent now. If that is not worth a frame, st is
// woken when there is more.
func (f *flight) roomLocked(st *stream) uint64 {
	if f.window == 0 {
		return math.MaxUint64
	}
	most := max((f.fatalLocked()-min(f.lost, f.fatalLocked()))/4, minFlight)
	return most - min(st.sent-st.flown.arrived, most)
}

// departLocked notes that n bytes of st are in the batch.
func (s *session) departLocked(st *stream, n uint64) {
	f := &s.flight
	if f.window == 0 {
		return
	}
	if !st.flown.flies {
		st.flown.flies = true
		f.rememberLocked(st)
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

// rememberLocked notes that st has something on its way.
func (f *flight) rememberLocked(st *stream) {
	if f.streams = append(f.streams, st); len(f.streams) <= max(f.sweepAt, maxUnanswered) {
		return
	}
	f.streams = slices.DeleteFunc(f.streams, func(st *stream) bool { return st.over && st.closed })
	f.sweepAt = 2 * len(f.streams)
}

// askedLocked notes that the batch now has a request behind all its data.
func (f *flight) askedLocked() {
	for _, st := range f.streams {
		st.flown.asked = st.sent
	}
	f.unasked = 0
}

// answeredLocked notes that everything sent before the last request has arrived.
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

// readLocked notes that the peer has raised the limit of st. A limit of L proves that the
// peer has read L minus one window.
func (f *flight) readLocked(st *stream, limit uint64) {
	if st.flown == nil {
		return
	}
	if window := st.flown.window; limit > window {
		st.flown.arrived = max(st.flown.arrived, min(limit-window, st.sent))
	}
}

// findLocked returns the stream with this id if some of its data may not have arrived.
func (f *flight) findLocked(id uint64) *stream {
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
	st.flown.arrived = st.sent // count it as lost only once
	s.watchCreditLocked()
}

// creditedLocked notes that the peer has returned credit, which shows what it has
// counted.
func (s *session) creditedLocked() {
	f := &s.flight
	f.credits++
	f.uncounted = f.window - min(s.out.maxData-s.out.sent, f.window)
	f.lost = min(f.lost, f.uncounted)
	s.watchdog.restLocked()
}
