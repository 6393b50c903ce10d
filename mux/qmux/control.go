package qmux

// control holds frames to send, about the session and its streams. A newer value replaces
// an older one, so a peer that never reads cannot make it grow. Guarded by session.Mu.
type control struct {
	ping       bool
	pong       bool   // answers the last ping
	pongSeq    uint64 // of that ping
	maxData    bool
	maxStreams bool
	accepted   bool
	leaving    bool
	messages   [][]byte
	inMessages int       // bytes
	streams    []*stream // with something pending, and an id
	goodbye    *ConnectionError
}

// pending says which frames to send about a stream.
type pending uint8

const (
	pendingFin pending = 1 << iota
	pendingReset
	pendingStop
	pendingGrant
)

// pendLocked notes that frames about st are to be sent.
func (s *session) pendLocked(st *stream, what pending) {
	s.noteLocked(st, what)
	s.flushLocked()
}

// noteLocked is pendLocked for frames that wait until others leave.
func (s *session) noteLocked(st *stream, what pending) {
	if s.ErrLocked() != nil || s.writer.Muted() {
		return
	}
	if st.pending == 0 && st.named {
		s.control.streams = append(s.control.streams, st)
	}
	st.pending |= what
}

// appendLocked turns the notes into frames, as far as the peer may have them yet.
func (c *control) appendLocked(s *session, b *batch) {
	if c.pong {
		b.frame(frame{typ: framePong, seq: c.pongSeq}, nil)
	}
	if c.ping {
		b.frame(frame{typ: framePing, seq: s.nextPingLocked()}, nil)
		s.flight.askedLocked()
	}
	c.pong, c.ping = false, false
	if s.peer != nil {
		c.appendCreditLocked(s, b)
		c.appendExtensionLocked(s, b)
		c.appendStreamsLocked(s, b)
	}
	if c.goodbye != nil {
		b.close(c.goodbye)
		c.goodbye = nil
	}
}

func (c *control) appendCreditLocked(s *session, b *batch) {
	if leaves := len(b.buf) > 0 || len(c.streams) > 0; leaves && s.inflow.raise(s.Pings.Shortest()) {
		c.maxData = true
	}
	if c.maxData {
		b.frame(frame{typ: frameMaxData, max: s.inflow.told()}, nil)
	}
	if c.maxStreams {
		b.frame(frame{typ: frameMaxStreamsBidi, max: s.incoming.limit}, nil)
	}
	c.maxData, c.maxStreams = false, false
}

func (c *control) appendExtensionLocked(s *session, b *batch) {
	if s.peer.extended() {
		if c.accepted {
			b.frame(frame{typ: frameAccepted, max: s.incoming.reported}, nil)
		}
		for _, m := range c.messages {
			b.frame(frame{typ: frameMessage}, m)
		}
		if c.leaving {
			b.frame(frame{typ: frameLeaving}, nil)
		}
	}
	c.accepted, c.leaving, c.messages, c.inMessages = false, false, nil, 0
}

func (c *control) appendStreamsLocked(s *session, b *batch) {
	rest := c.streams[:0]
	for _, st := range c.streams {
		if len(b.buf) <= maxBatch {
			s.appendPendingLocked(b, st)
		} else {
			s.flushLocked() // for the next batch
		}
		if st.pending != 0 {
			rest = append(rest, st)
		}
	}
	clear(c.streams[len(rest):])
	c.streams = rest
}

// appendPendingLocked turns the notes about st into frames, and reports whether there
// were any. FIN has to wait until everything has been sent.
func (s *session) appendPendingLocked(b *batch, st *stream) bool {
	what := st.pending
	if st.early != nil {
		what &^= pendingFin
	}
	st.pending &^= what
	before := len(b.buf)
	if what&pendingFin != 0 {
		b.data(st, frame{typ: frameStream, id: st.id, offset: st.sent, fin: true}, nil)
		st.sendDoneLocked()
	}
	if what&pendingReset != 0 {
		b.frame(frame{typ: frameResetStream, id: st.id, code: st.resetCode, offset: st.sent}, nil)
		st.sendDoneLocked()
	}
	if what&pendingStop != 0 && !st.recvDone {
		b.frame(frame{typ: frameStopSending, id: st.id, code: uint64(st.stopCode)}, nil)
	}
	if what&pendingGrant != 0 && !st.recvDone && !st.stopped {
		b.frame(frame{typ: frameMaxStreamData, id: st.id, max: st.granted}, nil)
	}
	s.checkOverLocked(st)
	return len(b.buf) > before
}
