package nativemux

import (
	"context"
	"fmt"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
)

// Ping implements [mux.Session].
func (s *session) Ping(ctx context.Context) error {
	s.mu.Lock()
	if s.pong == nil {
		s.pong = make(chan struct{})
	}
	pong := s.pong
	if !s.roundTrip.Asking() {
		s.pingLocked()
	}
	s.mu.Unlock()
	select {
	case <-pong:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("native: ping: %w", ctxerr.Of(ctx))
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

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
	if s.pong != nil {
		close(s.pong)
		s.pong = nil
	}
	if s.roundTrip.Asking() && number == s.control.ping { // else an earlier one, or what was not asked
		s.roundTrip.Answered()
	}
	return nil
}
