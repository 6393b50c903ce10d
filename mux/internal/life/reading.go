package life

import (
	"errors"
	"fmt"
	"time"

	"github.com/backdial/backdial/mux"
)

// errStuck is matched by the error for a peer that takes nothing from the carrier.
var errStuck = errors.New("carrier does not accept writes")

// Stuck returns an error if the carrier has taken nothing for d and that is long enough
// to call it dead.
func (s *Session[S]) Stuck(d time.Duration) error {
	if most := s.patience(); d > most {
		return fmt.Errorf("the peer has taken nothing for %v: %w", most, errStuck)
	}
	return nil
}

// patience is how long a peer may take nothing.
func (s *Session[S]) patience() time.Duration {
	return 2 * (s.Config.KeepAlive + s.Config.KeepAliveTimeout)
}

// reading tracks whether the peer reads. A peer that does not may still send, and the
// carrier may have room for all the pings that it does not read. Guarded by Mu.
type reading struct {
	answers  bool      // the peer has answered a ping
	since    time.Time // when the first unanswered ping was sent; zero for none
	received uint64    // bytes that had arrived by then
}

const (
	// slow is how long a write must take to count as having waited for room.
	slow = 100 * time.Millisecond

	// slowest is the least rate of a busy path, in bytes per second.
	slowest = 1 << 10

	// maxAhead is how many bytes of a peer's data may be ahead of its answer: what waits
	// in its session and its kernel on a slow path.
	maxAhead = 256 << 10
)

// TookLocked notes that the carrier has taken a write. If that took long, there was no
// room at first, so the peer reads.
func (s *Session[S]) TookLocked(took time.Duration) {
	if took >= slow {
		s.AskAnewLocked()
	}
}

// AskAnewLocked restarts the wait for an answer with the next ping: the peer reads, or
// this end has not read what may be the answer.
func (s *Session[S]) AskAnewLocked() { s.reading.since = time.Time{} }

// HasAnsweredLocked reports whether the peer has ever answered a ping.
func (s *Session[S]) HasAnsweredLocked() bool { return s.reading.answers }

// askedLocked notes a ping of the keepalive.
func (s *Session[S]) askedLocked() {
	if r := &s.reading; r.since.IsZero() {
		r.since, r.received = time.Now(), s.received.Load()
	}
}

// deafLocked returns an error if the peer has not answered for so long that it cannot be
// reading. It is called once per keepalive interval while a ping is unanswered. Two
// intervals may have passed before that ping; all together are as long as Stuck allows.
func (s *Session[S]) deafLocked() error {
	r := &s.reading
	if r.since.IsZero() || !s.protocol.MustAnswerLocked() {
		return nil
	}
	most := s.patience() - 2*s.Config.KeepAlive
	took := time.Since(r.since)
	if took < most {
		return nil
	}
	if ahead := s.received.Load() - r.received; ahead < maxAhead && float64(ahead) >= slowest*took.Seconds() {
		return nil // the answer may be behind that data
	}
	return fmt.Errorf("%w: it sends, but has answered no ping for %v", mux.ErrSilent, most)
}
