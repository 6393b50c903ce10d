package nativemux

// PingLocked asks the peer for an answer.
func (s protocol) PingLocked() {
	s.sayLocked(func(c *control) {
		c.ping++
		c.asks = true
	})
}

func (s protocol) AskLocked() { s.PingLocked() }

func (s protocol) MustAnswerLocked() bool { return true }

// StuckLocked returns nil: the carrier itself notices a peer that takes nothing.
func (s protocol) StuckLocked() error { return nil }

// peerAnswers notes that the peer has answered the ping with this number.
func (s *session) peerAnswers(number uint64) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.AnsweredLocked(number == s.control.ping)
	return nil
}
