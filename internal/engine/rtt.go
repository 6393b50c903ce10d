package engine

import (
	"sync/atomic"
	"time"
)

// A roundTrip is how long the peer takes to answer a Ping. One at a time is
// under way, because not every protocol can tell answers apart.
type roundTrip struct {
	asked    time.Time    // when that was; zero for none. Guarded by Session.mu.
	shortest atomic.Int64 // of all that were measured, in nanoseconds; 0 for none
}

// get returns the shortest round trip so far, or 0 if none was measured. It is
// the one that waited the least in queues, so it is that of the path.
func (r *roundTrip) get() time.Duration { return time.Duration(r.shortest.Load()) }

// measureLocked asks the peer for an answer, unless one is under way.
func (s *Session) measureLocked() {
	if s.roundTrip.asked.IsZero() {
		s.roundTrip.asked = time.Now()
		s.appendLocked(Frame{Kind: Ping})
	}
}

// measureFirstLocked measures the round trip when nothing is known of it. Its
// Ping leaves together with what opens or accepts the first stream.
func (s *Session) measureFirstLocked() {
	if s.roundTrip.get() == 0 {
		s.measureLocked()
	}
}

// measured notes that an answer has arrived.
func (s *Session) measured() {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.roundTrip
	if r.asked.IsZero() {
		return // the peer answers what was not asked
	}
	took := max(int64(time.Since(r.asked)), 1)
	r.asked = time.Time{}
	if shortest := r.shortest.Load(); shortest == 0 || took < shortest {
		r.shortest.Store(took)
	}
}
