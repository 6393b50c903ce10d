package qmux

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/backdial/backdial/mux"
)

// errMuted is the cause of what fails shortly before a session ends.
var errMuted = errors.New("nothing more can be written")

// awaitEndLocked waits until everything of st is with the carrier, the end included.
func (s *session) awaitEndLocked(st *stream) error {
	if s.Config.Linger <= 0 {
		return nil
	}
	giveUp := st.giveUpOnEnd()
	if err := s.writer.Await(s.writer.Mark(), &st.writable, giveUp); err != nil {
		return err
	}
	if !st.sendDone {
		if err := s.awaitPeerLocked(st, giveUp); err != nil {
			return err
		}
	}
	return s.writer.Await(s.writer.Mark(), &st.writable, giveUp)
}

// awaitPeerLocked waits until the end of st is in a batch, for which the peer has to say
// who it is, and to allow what was written before that.
func (s *session) awaitPeerLocked(st *stream, giveUp func() error) error {
	late := time.Now().Add(s.Config.Linger) // a peer that never says who it is ends the session
	timer := time.AfterFunc(time.Until(late), func() {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		st.writable.Broadcast()
	})
	defer timer.Stop()
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

// giveUpOnEnd returns what tells why a Close or CloseWrite of st, which has begun, waits
// no more.
func (st *stream) giveUpOnEnd() func() error {
	s, closing := st.s, st.closed
	return func() error {
		switch {
		case s.ErrLocked() != nil:
			return s.ErrLocked()
		case s.writer.Muted():
			return s.lost(errMuted)
		case closing: // no deadline holds for it, nor can it be reset
			return nil
		case st.closed:
			return st.writeErr
		case st.writeDeadline.Passed():
			return os.ErrDeadlineExceeded
		}
		return nil
	}
}

// heardLocked notes that the peer has sent data on st, which answers what was sent before,
// if that has left. The end of what the peer sends is no answer: it may have been on its way.
func (st *stream) heardLocked() {
	if st.sent > 0 && st.s.writer.Left(st.unanswered) {
		st.unanswered = 0
	}
}
