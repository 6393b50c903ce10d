package engine

import (
	"time"

	"github.com/backdial/backdial/internal/roundtrip"
)

// A pinger asks the peer for answers, and measures how long they take. It is
// guarded by Session.mu, but for what the meter has measured.
type pinger struct {
	roundtrip.Meter
	sent uint32 // how many Pings; the value of the last
}

// RoundTrip implements [mux.Session].
func (s *Session) RoundTrip() time.Duration { return s.pings.Latest() }

// pingLocked asks the peer for an answer.
func (s *Session) pingLocked() {
	s.pings.sent = (s.pings.sent + 1) % pingValues
	s.pings.Asked()
	s.appendLocked(Frame{Kind: Ping, Value: s.pings.sent})
}

// measureLocked measures the round trip, unless that is under way.
func (s *Session) measureLocked() {
	if !s.pings.Asking() {
		s.pingLocked()
	}
}

// measureFirstLocked measures the round trip when nothing is known of it. Its
// Ping leaves together with what opens or accepts the first stream.
func (s *Session) measureFirstLocked() {
	if s.pings.Latest() == 0 {
		s.measureLocked()
	}
}

// answered notes that the peer has answered the Ping with this value.
func (s *Session) answered(value uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pings.Asking() && value == s.pings.sent { // else an earlier one, or what was not asked
		s.pings.Answered()
	}
}
