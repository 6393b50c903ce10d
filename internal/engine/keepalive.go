package engine

import (
	"errors"
	"fmt"

	"github.com/backdial/backdial/internal/keepalive"
)

// A kept is a [Session] as package keepalive sees it.
type kept struct{ *Session }

var _ keepalive.Session = kept{}

func (s kept) Heard() uint64 { return s.heard.Load() }

// Ask pings the peer, unless what was written before is stuck.
func (s kept) Ask() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	stuck := 2 * (s.config.KeepAlive + s.config.KeepAliveTimeout)
	if s.writer.Stuck() > stuck {
		return fmt.Errorf("the peer has taken nothing for %v: %w", stuck, errStuck)
	}
	s.pingLocked()
	return nil
}

// Dead ends the session, unless Close is under way, which has a bound of its
// own.
func (s kept) Dead(err error) {
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if !closing {
		s.end(s.lost(err))
	}
}

var errStuck = errors.New("carrier does not accept writes")
