package qmux

// pings counts the requests of both ends.
type pings struct {
	sent uint64 // QX_PING requests sent; the sequence number of the last

	// Used by the reader only.
	heard    bool   // the peer has asked
	heardSeq uint64 // the sequence number of its last request
}

// PingLocked sends a request.
func (s protocol) PingLocked() {
	s.control.ping = true
	s.flushLocked()
}

// AskLocked writes the request itself, if it can, instead of waking the writer for it.
func (s protocol) AskLocked() {
	s.writer.Hold()
	s.PingLocked()
	s.writer.Release()
}

// nextPingLocked returns the sequence number of the next request. They increase (section
// 8 of the draft).
func (s *session) nextPingLocked() uint64 {
	s.pings.sent++
	s.Pings.Asked()
	return s.pings.sent
}

// handlePing answers a request. If more arrive first, one answer to the last is enough. If
// nothing more has arrived, the reader writes the answer itself, as far as there is room,
// instead of waking the writer for it.
func (s *session) handlePing(f frame) error {
	p := &s.pings
	if p.heard && f.seq <= p.heardSeq {
		return violation(protocolViolation, f.typ, "ping %d after %d", f.seq, p.heardSeq)
	}
	p.heard, p.heardSeq = true, f.seq
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.records.drained() {
		s.writer.Hold()
		defer s.writer.Release()
	}
	s.control.pong, s.control.pongSeq = true, f.seq
	s.flushLocked()
	return nil
}

func (s *session) handlePong(f frame) (useful bool, err error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	p := &s.pings
	if f.seq == 0 || f.seq > p.sent {
		return false, violation(protocolViolation, f.typ, "response to ping %d, but only %d were sent", f.seq, p.sent)
	}
	if useful = s.AnsweredLocked(f.seq == p.sent); useful {
		s.answeredLocked()
	}
	return useful, nil
}
