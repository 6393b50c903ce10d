package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/backdial/backdial/mux"
)

// A keepalive finds out whether the peer is still there, by a timer instead of
// a goroutine. It asks, looks a while later whether anything has arrived, and
// rests until it is time to ask again, if there is time left.
type keepalive struct {
	interval, timeout time.Duration

	// Guarded by Session.mu.
	timer  *time.Timer
	asked  bool   // the timer runs out when an answer is due
	heard  uint64 // Session.heard when it was asked
	number uint32 // of the last ping
}

func newKeepalive(c mux.Config) keepalive {
	return keepalive{interval: c.KeepAlive, timeout: c.KeepAliveTimeout}
}

// startKeepalive starts the timer; end stops it.
func (s *Session) startKeepalive() {
	if s.keepalive.interval <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepalive.timer = time.AfterFunc(s.keepalive.interval, s.tick)
}

func (s *Session) tick() {
	s.mu.Lock()
	k := &s.keepalive
	if s.err != nil || s.closing { // Close has a bound of its own
		s.mu.Unlock()
		return
	}
	if err := s.lifelessLocked(); err != nil {
		s.mu.Unlock()
		s.end(s.lost(err))
		return
	}
	if rest := k.interval - k.timeout; k.asked && rest > 0 {
		k.asked = false
		k.timer.Reset(rest)
	} else {
		k.asked = true
		k.heard = s.heard.Load()
		k.number++
		s.appendLocked(Frame{Kind: Ping, Value: k.number})
		k.timer.Reset(k.timeout)
	}
	s.mu.Unlock()
}

// lifelessLocked returns why the peer is considered dead, or nil.
func (s *Session) lifelessLocked() error {
	k := &s.keepalive
	if k.asked && s.heard.Load() == k.heard {
		return fmt.Errorf("nothing heard from the peer for %v after a ping", k.timeout)
	}
	stuck := 2 * (k.interval + k.timeout)
	if !s.writeStart.IsZero() && time.Since(s.writeStart) > stuck {
		return fmt.Errorf("the peer has taken nothing for %v: %w", stuck, errStuck)
	}
	return nil
}

var errStuck = errors.New("carrier does not accept writes")
