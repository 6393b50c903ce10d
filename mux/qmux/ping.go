package qmux

import (
	"context"
	"fmt"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/roundtrip"
)

// A pinger asks the peer for answers, and measures how long they take. It is
// guarded by session.mu, but for what the meter has measured, and for heard.
type pinger struct {
	roundtrip.Meter
	sent     uint64        // how many QX_PING requests; the sequence number of the last
	answered chan struct{} // closed by the next response, for those who wait; or nil

	heard    bool   // the peer has asked; for the reader
	heardSeq uint64 // and this was the last
}

// Ping implements [mux.Session].
func (s *session) Ping(ctx context.Context) error {
	s.mu.Lock()
	if s.pings.answered == nil {
		s.pings.answered = make(chan struct{})
	}
	answered := s.pings.answered
	s.measureLocked()
	s.mu.Unlock()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("qmux: ping: %w", ctxerr.Of(ctx))
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// RoundTrip implements [mux.Session].
func (s *session) RoundTrip() time.Duration { return s.pings.Latest() }

// pingLocked asks the peer for an answer.
func (s *session) pingLocked() {
	s.control.ping = true
	s.flushLocked()
}

// nextLocked returns the sequence number of a request that leaves now. They increase
// (section 8 of the draft).
func (p *pinger) nextLocked() uint64 {
	p.sent++
	p.Asked()
	return p.sent
}

// measureLocked measures the round trip, unless that is under way.
func (s *session) measureLocked() {
	if !s.pings.Asking() {
		s.pingLocked()
	}
}

// measureFirstLocked measures the round trip when nothing is known of it. Its
// request leaves together with what opens or accepts the first stream.
func (s *session) measureFirstLocked() {
	if s.pings.Latest() == 0 {
		s.measureLocked()
	}
}

// handlePing has a request answered. If more come before that is done, the last will
// do.
func (s *session) handlePing(f frame) error {
	p := &s.pings
	if p.heard && f.seq <= p.heardSeq {
		return violation(protocolViolation, f.typ, "ping %d after %d", f.seq, p.heardSeq)
	}
	p.heard, p.heardSeq = true, f.seq
	s.mu.Lock()
	defer s.mu.Unlock()
	s.control.pong, s.control.pongSeq = true, f.seq
	s.flushLocked()
	return nil
}

func (s *session) handlePong(f frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.pings
	if f.seq == 0 || f.seq > p.sent {
		return violation(protocolViolation, f.typ, "response to ping %d, of %d", f.seq, p.sent)
	}
	if p.answered != nil {
		close(p.answered)
		p.answered = nil
	}
	if p.Asking() && f.seq == p.sent { // else an earlier one, or a repetition
		p.Answered()
		s.answeredLocked()
	}
	return nil
}
