package qmux

import (
	"errors"
	"fmt"
	"time"

	"github.com/backdial/backdial/internal/keepalive"
	"github.com/backdial/backdial/mux"
)

// A kept is a session as package keepalive sees it.
type kept struct {
	*session
	record uint64 // that was under way the last time
	asked  int    // how often since it began
}

var _ keepalive.Session = (*kept)(nil)

// maxRecordAsks is how many times the peer is asked for a sign of life before it has
// to be done with a record. A slow path may take a minute for one.
const maxRecordAsks = 4

func (k *kept) Heard() uint64 { return k.heard.Load() }

// Ask pings the peer, unless what was written before is stuck, or what it sends
// comes drop by drop.
func (k *kept) Ask() error {
	k.asked++
	if record := k.records.current.Load(); record == 0 || record != k.record {
		k.record, k.asked = record, 0
	}
	if k.asked > maxRecordAsks {
		return violation(protocolViolation, 0, "a record that does not end")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	stuck := 2 * (k.config.KeepAlive + k.config.KeepAliveTimeout)
	if k.writer.Stuck() > stuck {
		return fmt.Errorf("the peer has taken nothing for %v: %w", stuck, errStuck)
	}
	k.pingLocked()
	return nil
}

// Dead ends the session, unless Close is under way, which has a bound of its
// own.
func (k *kept) Dead(err error) {
	k.mu.Lock()
	closing := k.closing
	k.mu.Unlock()
	if !closing {
		k.end(lost(err))
	}
}

var errStuck = errors.New("carrier does not accept writes")

// minKeepAlive is how often a peer is asked at most, however soon it takes a session for
// idle.
const minKeepAlive = 20 * time.Millisecond

// keepBusy has the peer asked so often that it does not take the session for idle,
// which it does after so many milliseconds, if that is not 0.
func (s *session) keepBusy(maxIdleTimeout uint64) {
	idle := time.Duration(min(maxIdleTimeout, uint64(time.Hour.Milliseconds()))) * time.Millisecond
	if idle == 0 || s.config.KeepAlive <= idle/2 {
		return
	}
	often := max(idle/3, minKeepAlive)
	config := mux.Config{KeepAlive: often, KeepAliveTimeout: min(s.config.KeepAliveTimeout, often)}
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	before := s.keepalive
	s.keepalive = keepalive.Start(config, &kept{session: s})
	s.mu.Unlock()
	before.Stop()
}
