package engine

import (
	"cmp"
	"os"
)

// Write implements [mux.Stream]. It returns when the last of p is in the
// session's queue.
func (st *Stream) Write(p []byte) (n int, err error) {
	s := st.s
	s.mu.Lock()
	defer s.mu.Unlock()
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
	for {
		if err := st.writeErrLocked(); err != nil {
			return len(p) - len(st.unsent), err
		}
		s.writer.Hold()
		s.sendLocked(st)
		unlocked := s.writer.Release(s.writer.Prompt(len(p), s.heard.Load()))
		if len(st.unsent) > 0 && !unlocked {
			st.writable.Wait()
		}
		if len(st.unsent) == 0 {
			return len(p), nil
		}
	}
}

// sendLocked sends what st has to send, as far as there is room and credit. It is called
// again when there is more: who makes room also fills it, from where the Write that
// waits has its bytes, so that nobody is woken but for having sent all.
func (s *Session) sendLocked(st *Stream) {
	for s.sendFrameLocked(st) {
	}
}

// sendFrameLocked sends a frame of what st has to send, and reports whether there is
// more, for which there may be room and credit. If there is no room st has a turn when
// there is.
func (s *Session) sendFrameLocked(st *Stream) (more bool) {
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
	if st.unsent = st.unsent[m:]; len(st.unsent) == 0 {
		st.writable.Broadcast()
	}
	return len(st.unsent) > 0
}

func (st *Stream) writeErrLocked() error {
	if err := cmp.Or(st.writeErr, st.s.err); err != nil {
		return err
	}
	if st.writeDeadline.Passed() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite implements [mux.Stream].
func (st *Stream) CloseWrite() error {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.closed || !st.finSent && st.writeErr != nil {
		return st.writeErr
	}
	if st.finSent {
		return nil
	}
	st.finSent = true
	st.s.appendLocked(Frame{Flags: Fin, ID: st.id})
	st.writeErr = errStreamHalfClosed
	st.writable.Broadcast()
	return nil
}

// addCreditLocked notes how much more the peer allows. It reports false if the
// peer does not want any more: the only way in which smux can say that is to
// have consumed more than it was sent.
func (st *Stream) addCreditLocked(c Credit) bool {
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
