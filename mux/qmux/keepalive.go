package qmux

import (
	"time"

	"github.com/backdial/backdial/mux"
)

// sameRecord counts how often the peer was asked for a sign of life while it sent one
// record. Guarded by session.Mu.
type sameRecord struct {
	record uint64 // the record under way at the last request
	asked  int    // requests since it began
}

// maxRecordAsks is how often the peer is asked for a sign of life before it must have
// finished a record. A slow path may take a minute for one.
const maxRecordAsks = 4

// MustAnswerLocked returns false if the answer may be behind a record that was already
// under way at the request.
func (s protocol) MustAnswerLocked() bool { return s.sameRecord.asked == 0 }

// StuckLocked returns an error if earlier writes are stuck, or a record of the peer
// trickles in.
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

// minKeepAlive is the shortest interval of requests, however small the peer's idle
// timeout is.
const minKeepAlive = 20 * time.Millisecond

// keepBusy asks the peer often enough that it does not end the session as idle, which it
// does after maxIdleTimeout milliseconds unless that is 0.
func (s *session) keepBusy(maxIdleTimeout uint64) {
	idle := time.Duration(min(maxIdleTimeout, uint64(time.Hour.Milliseconds()))) * time.Millisecond
	if idle == 0 || s.Config.KeepAlive <= idle/2 {
		return
	}
	often := max(idle/3, minKeepAlive)
	s.KeepBusy(mux.Config{KeepAlive: often, KeepAliveTimeout: min(s.Config.KeepAliveTimeout, often)})
}
