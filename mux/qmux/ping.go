package qmux

// Pings are the requests of both ends.
type pings struct {
	sent uint64 // how many QX_PING requests; the sequence number of the last

	// For the reader.
	heard    bool   // the peer has asked
	heardSeq uint64 // and this was the last
}

// PingLocked has the peer asked for an answer.
func (s protocol) PingLocked() {
	s.control.ping = true
	s.flushLocked()
}

// nextPingLocked returns the sequence number of a request that leaves now. They increase
// (section 8 of the draft).
func (s *session) nextPingLocked() uint64 {
	s.pings.sent++
	s.Pings.Asked()
	return s.pings.sent
}

// handlePing has a request answered. If more come before that is done, the last will
// do.
func (s *session) handlePing(f frame) error {
	p := &s.pings
	if p.heard && f.seq <= p.heardSeq {
		return violation(protocolViolation, f.typ, "ping %d after %d", f.seq, p.heardSeq)
	}
	p.heard, p.heardSeq = true, f.seq
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.control.pong, s.control.pongSeq = true, f.seq
	s.flushLocked()
	return nil
}

func (s *session) handlePong(f frame) (useful bool, err error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	p := &s.pings
	if f.seq == 0 || f.seq > p.sent {
		return false, violation(protocolViolation, f.typ, "response to ping %d, of %d", f.seq, p.sent)
	}
	if useful = s.AnsweredLocked(f.seq == p.sent); useful {
		s.answeredLocked()
	}
	return useful, nil
}
