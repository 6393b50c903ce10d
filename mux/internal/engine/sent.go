package engine

import (
	"errors"
	"os"
)

// errMuted is the cause of what fails shortly before a session ends.
var errMuted = errors.New("nothing more can be written")

// awaitEndLocked waits until everything of st is with the carrier, the end included. For
// CloseWrite it gives up at the deadline of writes, and when the stream is closed or reset.
func (st *stream) awaitEndLocked() error {
	s, closing := st.s, st.closed
	return s.writer.Await(s.writer.Mark(), &st.writable, func() error {
		switch {
		case s.ErrLocked() != nil:
			return s.ErrLocked()
		case s.writer.Muted():
			return s.lost(errMuted)
		case closing:
			return nil
		case st.closed:
			return st.writeErr
		case st.writeDeadline.Passed():
			return os.ErrDeadlineExceeded
		}
		return nil
	})
}

// heardLocked notes that the peer has sent data on st, which answers what was sent before,
// if that has left. The end of what the peer sends is no answer: it may have been on its way.
func (st *stream) heardLocked() {
	if st.sent > 0 && st.s.writer.Left(st.unanswered) {
		st.unanswered = 0
	}
}
