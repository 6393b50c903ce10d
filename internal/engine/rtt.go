package engine

import (
	"sync/atomic"
	"time"
)

// A roundTrip is how long the peer takes to answer a Ping. Of several that are
// under way the last one is measured: an answer may get lost, as a library does
// that has too much to write.
type roundTrip struct {
	// Guarded by Session.mu.
	pings uint32    // that were sent; the value of the last
	asked time.Time // when that was; zero once it is answered

	shortest atomic.Int64 // of all that were measured, in nanoseconds; 0 for none
}

// get returns the shortest round trip so far, or 0 if none was measured. It is
// the one that waited the least in queues, so it is that of the path.
func (r *roundTrip) get() time.Duration { return time.Duration(r.shortest.Load()) }

// pingLocked asks the peer for an answer.
func (s *Session) pingLocked() {
	r := &s.roundTrip
	r.pings = (r.pings + 1) % pingValues
	r.asked = time.Now()
	s.appendLocked(Frame{Kind: Ping, Value: r.pings})
}

// measureLocked measures the round trip, unless that is under way.
func (s *Session) measureLocked() {
	if s.roundTrip.asked.IsZero() {
		s.pingLocked()
	}
}

// measureFirstLocked measures the round trip when nothing is known of it. Its
// Ping leaves together with what opens or accepts the first stream.
func (s *Session) measureFirstLocked() {
	if s.roundTrip.get() == 0 {
		s.measureLocked()
	}
}

// answered notes that the peer has answered the Ping with this value.
func (s *Session) answered(value uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.roundTrip
	if r.asked.IsZero() || value != r.pings {
		return // an earlier one, or what was not asked
	}
	took := max(int64(time.Since(r.asked)), 1)
	r.asked = time.Time{}
	if shortest := r.shortest.Load(); shortest == 0 || took < shortest {
		r.shortest.Store(took)
	}
}
