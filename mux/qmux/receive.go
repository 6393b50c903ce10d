package qmux

import (
	"fmt"
	"io"
	"os"

	"github.com/backdial/backdial/internal/readbuf"
	"github.com/backdial/backdial/internal/shed"
	"github.com/backdial/backdial/mux"
)

// Read implements [mux.Stream].
func (st *Stream) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		ready, err := st.readyLocked(len(p))
		if err != nil {
			return 0, err
		}
		if ready {
			n := st.buffer.Read(p)
			st.accountLocked()
			st.extendLocked()
			return n, nil
		}
		if n := st.awaitLocked(p); n > 0 {
			st.extendLocked()
			return n, nil
		}
	}
}

// readyLocked reports whether a Read of up to n bytes would return some, or fail and why.
// Otherwise it waits.
func (st *Stream) readyLocked(n int) (bool, error) {
	switch {
	case st.discarding:
		return false, st.readErr
	case st.readDeadline.Passed():
		return false, os.ErrDeadlineExceeded
	case n == 0:
		return true, nil
	case st.buffer.Lent(): // to a WriteTo, whose bytes come first
		return false, nil
	case st.buffer.Len() > 0:
		return true, nil
	case st.finished:
		return false, io.EOF
	}
	return false, st.readErr
}

// WriteTo implements [mux.WriterTo].
func (st *Stream) WriteTo(w io.Writer) (int64, error) {
	return readbuf.PassOn(w, st.lend, st.giveBack)
}

// lend waits for bytes and returns those that came first.
func (st *Stream) lend() ([]byte, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		ready, err := st.readyLocked(1)
		if err != nil {
			return nil, err
		}
		if ready {
			return st.buffer.Lend(), nil
		}
		st.readable.Wait()
	}
}

// giveBack ends what lend began, of which n bytes have been passed on.
func (st *Stream) giveBack(n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.buffer.Return(n)
	st.accountLocked()
	st.extendLocked()
	st.readable.Broadcast() // other readers may go on
}

// Check implements [mux.Checker].
func (st *Stream) Check() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.finished && !st.discarding {
		return nil
	}
	return st.readErr
}

// minInto is how large a buffer has to be for it to be filled without a detour.
const minInto = 4 << 10

// awaitLocked waits until something has happened that concerns a Read. It returns how
// much of p has been filled meanwhile.
func (st *Stream) awaitLocked(p []byte) (filled int) {
	if len(p) < minInto || st.into != nil {
		st.readable.Wait()
		return 0
	}
	st.into = p
	st.readable.Wait()
	filled = int(st.filled)
	st.into, st.filled = nil, 0
	return filled
}

// handOverLocked moves up to n bytes of the record to a Read that waits, as far as they
// have arrived, and returns how many. The stream stays locked, so that Read does not
// return meanwhile; nothing here waits.
func (st *Stream) handOverLocked(n int, r *recordReader) int {
	if st.buffer.Len() > 0 {
		return 0
	}
	free := st.into[st.filled:]
	n = r.readNow(free[:min(n, len(free))])
	if n > 0 {
		st.filled += int32(n)
		st.received += uint64(n)
		st.readable.Broadcast()
	}
	return n
}

// receive takes the payload of f, or less if nobody wants it, and returns how much is
// left. Only the session's reader calls it.
func (st *Stream) receive(f frame, r *recordReader) (left int, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	end := f.offset + uint64(f.length)
	switch {
	case (st.finished || st.wasReset) && (f.length > 0 || end != st.received):
		return 0, violation(finalSizeError, f.typ, "data up to %d on stream %d, whose final size is %d", end, st.id, st.received)
	case f.offset != st.received: // a stream's data comes in order
		return 0, violation(protocolViolation, f.typ, "data at %d on stream %d, where %d comes next", f.offset, st.id, st.received)
	case end > st.allowed:
		return 0, violation(flowControlError, f.typ, "%d bytes on stream %d, where %d are allowed", end, st.id, st.allowed)
	}
	for left = f.length; left > 0 && !st.discarding; {
		if n := st.handOverLocked(left, r); n > 0 {
			left -= n
			continue
		}
		free := st.buffer.Space(left)
		st.mu.Unlock()
		n, err := r.Read(free)
		st.mu.Lock()
		left -= n
		st.received += uint64(n)
		st.buffer.Commit(n)
		if st.discarding {
			st.buffer.Drop()
		}
		st.accountLocked()
		st.readable.Broadcast()
		if st.s.windows.Held.Load() > int64(st.s.config.ReceiveBuffer) {
			st.mu.Unlock()
			st.s.shed()
			st.mu.Lock()
		}
		if err != nil {
			return left, err
		}
	}
	st.received = end
	if (left > 0 || st.discarding && end == st.allowed) && !f.fin {
		st.s.mu.Lock()
		st.s.stopLocked(st, codeClosed) // it has not noticed, or waits for room and cannot
		st.s.mu.Unlock()
	}
	return left, nil
}

// progress is how much has arrived and how much may, and whether that is all.
func (st *Stream) progress() (received, allowed uint64, done bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.received, st.allowed, st.finished || st.wasReset
}

// accountLocked tells the session how much memory the stream holds now.
func (st *Stream) accountLocked() {
	memory := int32(st.buffer.Memory())
	st.s.windows.Held.Add(int64(memory - st.accounted))
	st.accounted = memory
}

// load is what the stream holds, and when its reader was so far.
func (st *Stream) load() shed.Load {
	st.mu.Lock()
	defer st.mu.Unlock()
	return shed.Load{Holds: st.buffer.Memory(), Read: st.s.windows.Extended(&st.window)}
}

// finish notes that the peer has sent all.
func (st *Stream) finish() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.wasReset || st.finished {
		return
	}
	st.finished = true
	st.s.windows.Shrink(&st.window)
	st.readable.Broadcast()
	st.endReceiving()
}

// reset notes that the peer sends no more, and that it had sent up to final. What was
// not read is dropped.
func (st *Stream) reset(final uint64, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.wasReset = true
	st.received = final
	if st.readErr == nil {
		st.readErr = err
	}
	st.buffer.Drop()
	st.accountLocked()
	st.s.windows.Shrink(&st.window)
	st.readable.Broadcast()
	st.endReceiving()
}

// endReceiving notes for the sending half that the peer has no more to say.
func (st *Stream) endReceiving() {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.recvDone = true
	st.s.settleLocked(st)
}

// discardLocked throws away what has arrived and what will, and makes Read
// fail with err.
func (st *Stream) discardLocked(err error) {
	st.discarding = true
	st.readErr = err
	st.buffer.Drop()
	st.accountLocked()
	st.s.windows.Shrink(&st.window)
	st.readDeadline.Stop()
	st.readable.Broadcast()
}

// shed resets streams until a quarter of the session's memory is free: looking at
// all of them has to be worth it.
func (s *session) shed() {
	err := fmt.Errorf("qmux: %w: it was read too slowly, and the session's receive buffer of %d bytes is full",
		mux.ErrReset, s.config.ReceiveBuffer)
	for _, st := range shed.Order(s.live(), (*Stream).load) {
		if s.windows.Held.Load() <= int64(s.config.ReceiveBuffer)/4*3 {
			return
		}
		st.refuse(err)
	}
}
