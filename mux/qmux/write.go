package qmux

import (
	"cmp"
	"os"
)

const (
	// maxEarly is how much of a stream is kept that is written before the peer's
	// parameters are known, which takes one round trip on a new session. A request
	// fits.
	maxEarly = 4 << 10

	// maxQueue is how much data may wait in front of the carrier. Twice that is in
	// memory while a write is under way, and never in an idle session. A larger queue
	// makes small writes wait longer behind bulk transfers, a smaller one costs more
	// system calls. This is a frame of maxPayload, and a little that goes with it.
	maxQueue = maxPayload + 1<<10

	// maxPayload is the payload of one frame at most. It lets streams take turns.
	maxPayload = 64 << 10

	// minPayload is the room in the queue that is worth a frame.
	minPayload = 4 << 10

	// Writes of up to smallWrite bytes find room when there is none for others, as long
	// as there is not more than roomForSmall bytes of it: they do not have to wait for
	// their turn among those that fill the queue.
	smallWrite   = 1 << 10
	roomForSmall = 16 << 10

	// recordOverhead is how much less than a record the payload of a frame is. There
	// are peers that take records of 16382 bytes and payloads of 16352.
	recordOverhead = 30
)

// Write implements [mux.Stream]. It returns when the last of p is in the session's
// queue, or, if no data of a stream was in front of it, with the carrier.
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
	first := s.writer.Left(s.out.data)
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
	if first && s.writer.SendsAtOnce(len(p)) {
		s.writer.Await(s.out.data, &st.writable, st.writeErrLocked)
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

// sendLocked sends what st has to send, as far as there is room. It is called again
// when there is more: who makes room also fills it, from where the Write that waits has
// its bytes, so that nobody is woken but for having sent all.
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

// sendFrameLocked sends a frame of what st has to send, and reports whether there was
// something, and room for it.
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

// setEarlyLocked sets what is kept of st to be sent as soon as it can.
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
// connection together, so nobody waits for one while holding the other.
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
	most := maxQueue
	if len(p) <= smallWrite {
		most += roomForSmall
	}
	if room := o.room(most); room < n {
		if n = room; n < minPayload {
			n = 0
		}
	}
	if n == 0 {
		o.waiting.Await(st, &st.waits)
		return 0
	}
	s.announceLocked(st)
	s.batchLocked().data(st, frame{typ: frameStream, id: st.id, offset: st.sent, length: int(n)}, p[:n])
	st.sent += n
	o.sent += n
	s.departLocked(st, n)
	s.flushLocked()
	st.unanswered = s.writer.Mark()
	o.data = st.unanswered
	return int(n)
}

// addCreditLocked notes that the peer takes up to limit bytes of st, and reports
// whether that is worth anything. Limits only grow.
func (s *session) addCreditLocked(st *stream, limit uint64) bool {
	if limit <= st.limit {
		return false
	}
	st.limit = limit
	s.flight.readLocked(st, limit)
	s.sendLocked(st)
	return true
}
