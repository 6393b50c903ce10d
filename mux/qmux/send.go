package qmux

import (
	"cmp"
	"os"
)

const (
	// maxEarly is how much of a stream is kept while the peer's parameters are unknown,
	// which takes one round trip on a new session. A request fits.
	maxEarly = 4 << 10

	// maxPayload is the largest payload of one frame. It lets streams take turns. One frame
	// of it fits into [writeloop.LeastRoom].
	maxPayload = 64 << 10

	// minPayload is the least room in the queue that is worth a frame.
	minPayload = 4 << 10

	// Writes of up to smallWrite bytes have an extra roomForSmall bytes in the queue, so
	// they do not wait their turn among the writes that fill it.
	smallWrite   = 1 << 10
	roomForSmall = 16 << 10

	// recordOverhead is the room in a record beside the payload of a frame. Some peers
	// take records of 16382 bytes and payloads of 16352.
	recordOverhead = 30
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
	first := s.writer.Sent(s.out.data)
	s.writer.Writes(len(p))
	for {
		if err := st.writeErrLocked(); err != nil {
			return len(p) - len(st.unsent), err
		}
		s.writer.Hold()
		s.sendLocked(st)
		unlocked := s.writer.Release()
		if len(st.unsent) > 0 && !unlocked {
			s.budget.Role.Await(&st.writable) // for credit, perhaps
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

func (st *stream) writeErrLocked() error {
	if err := cmp.Or(st.writeErr, st.s.ErrLocked()); err != nil {
		return err
	}
	if st.writeDeadline.Passed() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// sendLocked sends as much of st as there is room for. It is called again when there is
// more room: the caller that makes room also fills it, straight from the bytes of the
// waiting Write, so a Write wakes only when all of it has been sent.
func (s *session) sendLocked(st *stream) {
	if !st.named {
		var early []byte
		if st.early != nil {
			early = *st.early
		}
		n := min(len(st.unsent), maxEarly-len(early))
		s.setEarlyLocked(st, append(early, st.unsent[:n]...))
		st.unsent = st.unsent[n:]
		return
	}
	for s.sendFrameLocked(st) {
	}
}

// sendFrameLocked sends one frame of st, and reports whether there was something to send,
// and room for it.
func (s *session) sendFrameLocked(st *stream) bool {
	if st.early != nil {
		n := s.sendDataLocked(st, *st.early)
		s.setEarlyLocked(st, (*st.early)[n:])
		return n > 0
	}
	if len(st.unsent) == 0 || st.writeErr != nil || st.writeDeadline.Passed() {
		return false
	}
	n := s.sendDataLocked(st, st.unsent)
	st.unsent = st.unsent[n:]
	if len(st.unsent) == 0 {
		st.writable.Broadcast()
	}
	return n > 0
}

// setEarlyLocked sets what is kept of st until it can be sent.
func (s *session) setEarlyLocked(st *stream, early []byte) {
	before := st.early != nil
	if st.early = nil; len(early) > 0 {
		st.early = &early
	}
	switch after := st.early != nil; {
	case after && !before:
		s.unfinished++
	case before && !after:
		s.unfinished--
		s.flushed.Broadcast()
	}
}

// sendDataLocked queues as much of p as the peer allows and the queue has room for, as
// one frame, and returns how much that was. It claims credit of the stream and of the
// connection together, so a Write never holds one while it waits for the other.
func (s *session) sendDataLocked(st *stream, p []byte) int {
	o := &s.out
	if s.ErrLocked() != nil || s.writer.Muted() {
		return 0
	}
	n := min(uint64(len(p)), uint64(o.payload), st.limit-st.sent)
	if n == 0 {
		return 0 // until MAX_STREAM_DATA
	}
	path := s.flight.roomLocked(st)
	if path < min(n, minPayload) {
		s.MeasureLocked()
		return 0 // until the answer
	}
	if n = min(n, path, o.maxData-o.sent); n == 0 {
		o.waiting.Await(st, &st.waits)
		s.watchCreditLocked()
		return 0
	}
	most := s.writer.Room()
	if len(p) <= smallWrite {
		most += roomForSmall
	}
	if room := o.roomLocked(most); room < n {
		if n = room; n < minPayload {
			n = 0
		}
	}
	if n == 0 {
		o.waiting.Await(st, &st.waits)
		return 0
	}
	s.announceLocked(st)
	b := s.batchLocked()
	b.buf = s.writer.Reserve(b.buf, maxStreamHeader+sizeLen+int(n))
	b.data(st, frame{typ: frameStream, id: st.id, offset: st.sent, length: int(n)}, p[:n])
	st.sent += n
	o.sent += n
	s.departLocked(st, n)
	s.flushLocked()
	st.unanswered = s.writer.Mark()
	o.data = st.unanswered
	return int(n)
}

// addCreditLocked notes that the peer takes up to limit bytes of st, and reports whether
// that is news. Limits only grow.
func (s *session) addCreditLocked(st *stream, limit uint64) bool {
	if limit <= st.limit {
		return false
	}
	st.limit = limit
	s.flight.readLocked(st, limit)
	s.sendLocked(st)
	return true
}
