package qmux

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/backdial/backdial/mux"
)

// errMuted is the cause of errors shortly before a session ends.
var errMuted = errors.New("nothing more can be written")

// awaitEndLocked waits until the carrier has everything of st, including its end.
func (s *session) awaitEndLocked(st *stream) error {
	if s.Config.Linger <= 0 {
		return nil
	}
	giveUp := st.giveUpOnEnd()
	if !st.sendDone { // usually it is in the next batch
		if err := s.writer.Await(s.writer.Mark(), &st.writable, giveUp); err != nil {
			return err
		}
	}
	if !st.sendDone {
		if err := s.awaitPeerLocked(st, giveUp); err != nil {
			return err
		}
	}
	return s.writer.Await(st.unanswered, &st.writable, giveUp)
}

// sendDoneLocked notes that the end of st is in the batch that is sent next, or being made.
func (st *stream) sendDoneLocked() {
	st.sendDone = true
	st.unanswered = st.s.writer.Mark()
	if st.late {
		st.writable.Broadcast()
	}
}

// awaitPeerLocked waits until the end of st is in a batch. For that the peer must have
// sent its parameters, and allow what was written before.
func (s *session) awaitPeerLocked(st *stream, giveUp func() error) error {
	late := time.Now().Add(s.Config.Linger) // greetingTime ends a session whose peer sends no parameters
	timer := time.AfterFunc(time.Until(late), func() {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		st.writable.Broadcast()
	})
	defer timer.Stop()
	st.late = true
	for !st.sendDone {
		if err := giveUp(); err != nil {
			return err
		}
		if !time.Now().Before(late) {
			return fmt.Errorf("qmux: stream: %w: the peer has not allowed it within %v", mux.ErrUnsent, s.Config.Linger)
		}
		st.writable.Wait()
	}
	return nil
}

// giveUpOnEnd returns the function that says why the current Close or CloseWrite of st
// stops waiting.
func (st *stream) giveUpOnEnd() func() error {
	s, closing := st.s, st.closed
	return func() error {
		switch {
		case s.ErrLocked() != nil:
			return s.ErrLocked()
		case s.writer.Muted():
			return s.lost(errMuted)
		case closing: // it has no deadline and cannot be reset
			return nil
		case st.closed:
			return st.writeErr
		case st.writeDeadline.Passed():
			return os.ErrDeadlineExceeded
		}
		return nil
	}
}

// heardLocked notes that the peer has sent data on st. If everything written before had
// left, this is an answer to it. The end of the peer's data is not an answer: it may have
// been on its way.
func (st *stream) heardLocked() {
	if st.sent > 0 && st.s.writer.Sent(st.unanswered) {
		st.unanswered = 0
	}
}
