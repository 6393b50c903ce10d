package life

import (
	"errors"
	"fmt"
	"time"

	"github.com/backdial/backdial/mux"
)

// errStuck is matched by the error of a peer that takes nothing from the carrier.
var errStuck = errors.New("carrier does not accept writes")

// Stuck returns an error if a carrier that has not taken anything for d must be taken for
// dead.
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

// A reading is what is known of whether the peer reads. One that does not may go on
// sending, and the carrier may have room for all the pings that it does not read. Guarded
// by Mu.
type reading struct {
	answers  bool      // the peer has answered a ping
	since    time.Time // when the first ping was sent that it has not answered; zero for none
	received uint64    // bytes that had arrived then
}

const (
	// slow is how long a write takes at least that has waited for room.
	slow = 100 * time.Millisecond

	// slowest is how many bytes per second a path carries at least that is busy.
	slowest = 1 << 10

	// maxAhead is how many bytes of a peer's data may be in front of its answer: what
	// waits in its session and in its kernel when the path is slow.
	maxAhead = 256 << 10
)

// TookLocked notes that the carrier has taken what it is given, for which it had no room at
// first if that took long: then the peer reads.
func (s *Session[S]) TookLocked(took time.Duration) {
	if took >= slow {
		s.AskAnewLocked()
	}
}

// AskAnewLocked has the wait for an answer begin with the next ping: the peer reads, or this
// end has not read what it may have answered.
func (s *Session[S]) AskAnewLocked() { s.reading.since = time.Time{} }

// HasAnsweredLocked reports whether the peer has ever answered a ping.
func (s *Session[S]) HasAnsweredLocked() bool { return s.reading.answers }

// askedLocked notes that a ping of the keepalive has been sent.
func (s *Session[S]) askedLocked() {
	if r := &s.reading; r.since.IsZero() {
		r.since, r.received = time.Now(), s.received.Load()
	}
}

// deafLocked returns an error if the peer has not answered for so long that it does not
// read. It is called once in an interval of the keepalive, which may have passed before the
// first ping that was not answered: both together are as long as Stuck allows.
func (s *Session[S]) deafLocked() error {
	r := &s.reading
	if r.since.IsZero() || !s.protocol.MustAnswerLocked() {
		return nil
	}
	most := s.patience() - s.Config.KeepAlive
	took := time.Since(r.since)
	if took < most {
		return nil
	}
	if ahead := s.received.Load() - r.received; ahead < maxAhead && float64(ahead) >= slowest*took.Seconds() {
		return nil // the answer may be behind it
	}
	return fmt.Errorf("%w: it sends, but has answered no ping for %v", mux.ErrSilent, most)
}
