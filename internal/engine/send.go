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
	st.writing = true
	defer func() {
		st.writing = false
		st.writable.Broadcast()
	}()
	for {
		if err := st.writeErrLocked(); err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		credit := st.limit - st.sent
		if credit == 0 {
			st.writable.Wait()
			continue
		}
		m := s.appendDataLocked(st.id, p[n:n+int(min(credit, uint64(len(p)-n)))])
		if m == 0 {
			s.awaitRoomLocked(st)
			continue
		}
		st.sent += uint64(m)
		n += m
	}
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
		st.writable.Broadcast()
	}
	return true
}
