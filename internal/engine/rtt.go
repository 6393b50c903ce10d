package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/roundtrip"
)

// A pinger asks the peer for answers, and measures how long they take. It is
// guarded by Session.mu, but for what the meter has measured.
type pinger struct {
	roundtrip.Meter
	sent     uint32        // how many Pings; the value of the last
	answered chan struct{} // closed by the next Pong, for those who wait; or nil
}

// Ping implements [mux.Session].
func (s *Session) Ping(ctx context.Context) error {
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
		return fmt.Errorf("%s: ping: %w", s.wire.Name(), ctxerr.Of(ctx))
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
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
	if s.pings.answered != nil {
		close(s.pings.answered)
		s.pings.answered = nil
	}
	if s.pings.Asking() && value == s.pings.sent { // else an earlier one, or what was not asked
		s.pings.Answered()
	}
}
