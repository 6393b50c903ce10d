package nativemux

import "time"

// RoundTrip implements [mux.Session].
func (s *session) RoundTrip() time.Duration { return s.roundTrip.Latest() }

// pingLocked asks the peer for an answer.
func (s *session) pingLocked() {
	s.sayLocked(func(c *control) {
		c.ping++
		c.asks = true
	})
}

// measureFirstLocked measures the round trip when nothing is known of it.
func (s *session) measureFirstLocked() {
	if s.control.ping == 0 {
		s.pingLocked()
	}
}

// answered notes that the peer has answered the ping with this number.
func (s *session) answered(number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roundTrip.Asking() && number == s.control.ping { // else an earlier one, or what was not asked
		s.roundTrip.Answered()
	}
	return nil
}
