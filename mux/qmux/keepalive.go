package qmux

import (
	"time"

	"github.com/backdial/backdial/mux"
)

// A sameRecord counts how often the peer was asked for a sign of life while it sent one
// record. Guarded by session.Mu.
type sameRecord struct {
	record uint64 // that was under way the last time
	asked  int    // how often since it began
}

// maxRecordAsks is how many times the peer is asked for a sign of life before it has
// to be done with a record. A slow path may take a minute for one.
const maxRecordAsks = 4

// MustAnswerLocked reports false if the answer may be behind a record that was under way
// already when the peer was asked.
func (s protocol) MustAnswerLocked() bool { return s.sameRecord.asked == 0 }

// StuckLocked fails if what was written before is stuck, or what the peer sends comes drop
// by drop.
func (s protocol) StuckLocked() error {
	k := &s.sameRecord
	k.asked++
	if record := s.records.current.Load(); record == 0 || record != k.record {
		k.record, k.asked = record, 0
	}
	if k.asked > maxRecordAsks {
		return violation(protocolViolation, 0, "a record that does not end")
	}
	return s.Stuck(s.writer.Stuck())
}

// minKeepAlive is how often a peer is asked at most, however soon it takes a session for
// idle.
const minKeepAlive = 20 * time.Millisecond

// keepBusy has the peer asked so often that it does not take the session for idle,
// which it does after so many milliseconds, if that is not 0.
func (s *session) keepBusy(maxIdleTimeout uint64) {
	idle := time.Duration(min(maxIdleTimeout, uint64(time.Hour.Milliseconds()))) * time.Millisecond
	if idle == 0 || s.Config.KeepAlive <= idle/2 {
		return
	}
	often := max(idle/3, minKeepAlive)
	s.KeepAlive(mux.Config{KeepAlive: often, KeepAliveTimeout: min(s.Config.KeepAliveTimeout, often)})
}
