package engine

import (
	"errors"
	"os"
)

// errMuted is the cause of errors shortly before a session ends.
var errMuted = errors.New("nothing more can be written")

// awaitEndLocked waits until the carrier has everything of st, including its end. For
// CloseWrite it gives up at the write deadline, and when the stream is closed or reset.
func (st *stream) awaitEndLocked() error {
	s, closing := st.s, st.closed
	return s.writer.Await(st.unanswered, &st.writable, func() error {
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

// heardLocked notes that the peer has sent data on st. If everything written before had
// left, this is an answer to it. The end of the peer's data is not an answer: it may have
// been on its way.
func (st *stream) heardLocked() {
	if st.sent > 0 && st.s.writer.Sent(st.unanswered) {
		st.unanswered = 0
	}
}
