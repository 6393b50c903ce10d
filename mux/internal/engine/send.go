package engine

import (
	"cmp"
	"errors"
	"os"

	"github.com/backdial/backdial/mux"
)

// Write implements [mux.Stream]. It returns when the last of p is in the session's queue,
// or with the carrier if no stream's data was queued before it.
func (st *stream) Write(p []byte) (n int, err error) {
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for st.writing {
		if err := st.writeErrLocked(); err != nil {
			return 0, err
		}
		st.writable.Wait()
	}
	st.writing, st.unsent = true, p
	defer func() {
		st.writing, st.unsent = false, nil
		st.writable.Broadcast()
	}()
	first := s.writer.Sent(s.data)
	s.writer.Writes(len(p))
	for {
		if err := st.writeErrLocked(); err != nil {
			return len(p) - len(st.unsent), err
		}
		s.writer.Hold()
		s.sendLocked(st)
		unlocked := s.writer.Release()
		if len(st.unsent) > 0 && !unlocked {
			st.writable.Wait()
		}
		if len(st.unsent) == 0 {
			break
		}
	}
	if first && st.sent > 0 && s.writer.SendsAtOnce(len(p)) {
		s.writer.Await(st.unanswered, &st.writable, st.writeErrLocked)
	}
	return len(p), nil
}

// sendLocked sends as much of st as there is room and credit for. It is called again when
// there is more of either: the caller that makes room also fills it, straight from the
// bytes of the waiting Write, so a Write wakes only when all of it has been sent.
func (s *session) sendLocked(st *stream) {
	for s.sendFrameLocked(st) {
	}
}

// sendFrameLocked sends one frame of st, and reports whether to call it again: there is
// more to send, and perhaps room and credit. Without room, st gets a turn.
func (s *session) sendFrameLocked(st *stream) (more bool) {
	n := min(uint64(len(st.unsent)), st.limit-st.sent)
	if n == 0 || st.writeErr != nil || st.writeDeadline.Passed() {
		return false
	}
	m := s.appendDataLocked(st.id, st.unsent[:n])
	if m == 0 {
		s.waiting.Await(st, &st.waits)
		return false
	}
	st.sent += uint64(m)
	st.unanswered = s.writer.Mark()
	s.data = st.unanswered
	if st.unsent = st.unsent[m:]; len(st.unsent) == 0 {
		st.writable.Broadcast()
	}
	return len(st.unsent) > 0
}

func (st *stream) writeErrLocked() error {
	if err := cmp.Or(st.writeErr, st.s.ErrLocked()); err != nil {
		return err
	}
	if st.writeDeadline.Passed() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite implements [mux.Stream].
func (st *stream) CloseWrite() error {
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	switch err := cmp.Or(st.writeErr, s.ErrLocked()); {
	case st.closed:
		return st.writeErr
	case st.finSent:
	case errors.Is(err, mux.ErrReset): // Write and Read report it
		return nil
	case err != nil:
		return err
	default:
		st.finSent = true
		s.endedLocked(st)
		s.writer.Hold()
		s.appendLocked(Frame{Flags: Fin, ID: st.id})
		st.unanswered = s.writer.Mark()
		st.writeErr = errStreamHalfClosed
		st.writable.Broadcast()
		s.writer.ReleaseLate()
	}
	return st.awaitEndLocked()
}

// addCreditLocked notes how much more the peer allows. It returns false if the peer wants
// no more: smux can say that only by having consumed more than it was sent.
func (st *stream) addCreditLocked(c Credit) bool {
	limit := st.limit + uint64(c.Grant)
	if c.Absolute {
		unread := int32(uint32(st.sent) - c.Consumed)
		if unread < 0 {
			return false
		}
		limit = st.sent - uint64(unread) + uint64(c.Window)
	}
	if limit > st.limit {
		st.limit = limit
		st.s.sendLocked(st)
	}
	return true
}
