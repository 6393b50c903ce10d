package nativemux

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/recv"
)

// stream implements [mux.Stream] on a stream of the carrier.
type stream struct {
	s        *session
	cs       carrier.Stream
	fromPeer bool

	writing sync.Mutex // held during cs.Write and cs.CloseWrite

	in     recv.Half // its lock guards below
	closed bool      // Close or Reset was called

	// Receiving.
	reading   bool      // a Read is in cs.Read
	pumped    bool      // only the pump calls cs.Read any more
	awaited   bool      // a Read waits for bytes
	touched   bool      // a Read has returned since the session last looked
	stalled   bool      // the pump stands still: it has fetched enough
	unlimited bool      // the pump fetches whatever the budget has room for
	inflow    inflow    // how much was read
	accounted int       // memory of the buffer counted in session.held
	guess     int       // bytes that the stream may hold, counted in session.guessed
	received  uint64    // bytes in total
	forwarded time.Time // the deadline of cs.Read

	// Sending.
	out           *outflow   // tracks credit
	sent          uint64     // bytes in total
	finSent       bool       // the peer was told of CloseWrite, Close or Reset
	over          bool       // the session gave it up: the peer must not see an orderly end
	writeErr      error      // what Write returns
	writeDeadline *time.Time // of cs.Write, and of the wait for credit; or nil
}

var (
	_ mux.CodeResetter = (*stream)(nil)
	_ mux.WriterTo     = (*stream)(nil)
	_ mux.Checker      = (*stream)(nil)
)

var (
	errStreamClosed     = fmt.Errorf("stream: %w", net.ErrClosed)
	errStreamReset      = fmt.Errorf("stream: reset by this end: %w", net.ErrClosed)
	errStreamHalfClosed = fmt.Errorf("stream: write after CloseWrite: %w", net.ErrClosed)
)

func newStream(s *session, cs carrier.Stream, out *outflow) *stream {
	st := &stream{s: s, cs: cs, out: out, touched: true}
	st.in.Init()
	return st
}

// LocalAddr returns that of the session's connection.
func (st *stream) LocalAddr() net.Addr { return st.s.conn.LocalAddr() }

// RemoteAddr returns that of the session's connection.
func (st *stream) RemoteAddr() net.Addr { return st.s.conn.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (st *stream) SetDeadline(t time.Time) error {
	if err := st.SetReadDeadline(t); err != nil {
		return err
	}
	return st.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (st *stream) SetReadDeadline(t time.Time) error {
	st.in.Lock()
	defer st.in.Unlock()
	err := st.in.SetDeadlineLocked(t)
	if err == nil && st.reading {
		st.forwardLocked(t)
	}
	return err
}

// forwardLocked makes t the deadline of cs.Read.
func (st *stream) forwardLocked(t time.Time) {
	if t != st.forwarded {
		st.forwarded = t
		st.cs.SetReadDeadline(t)
	}
}

// SetWriteDeadline implements [net.Conn].
func (st *stream) SetWriteDeadline(t time.Time) error {
	st.in.Lock()
	defer st.in.Unlock()
	if st.closed {
		return st.writeErr
	}
	if st.writeErr == nil { // otherwise the deadline is what wakes Write
		if st.writeDeadline = nil; !t.IsZero() {
			at := t // a zero t must not escape
			st.writeDeadline = &at
		}
		st.cs.SetWriteDeadline(t)
		st.s.outflows.rouse(st.out)
	}
	return nil
}

// Write implements [mux.Stream].
func (st *stream) Write(p []byte) (n int, err error) {
	st.writing.Lock()
	defer st.writing.Unlock()
	st.in.Lock()
	err = st.writeErr
	st.in.Unlock()
	for err == nil {
		var size, wrote int
		if size, err = st.takeCredit(len(p) - n); err != nil {
			break
		}
		wrote, err = st.writeCarrier(p[n : n+size])
		if n += wrote; n == len(p) {
			break
		}
	}
	return n, err
}

// writeCarrier writes p, for which there is credit.
func (st *stream) writeCarrier(p []byte) (int, error) {
	n, err := st.cs.Write(p)
	if n < len(p) {
		st.s.outflows.giveBack(st.out, len(p)-n)
	}
	st.in.Lock()
	defer st.in.Unlock()
	st.sent += uint64(n)
	switch {
	case err == nil:
		return n, nil
	case st.writeErr != nil: // it woke cs.Write
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, os.ErrDeadlineExceeded
	default:
		st.writeErr = st.s.streamErr(err)
	}
	return n, st.writeErr
}

// streamErr turns the carrier's error err into the error for the stream's user.
func (s *session) streamErr(err error) error {
	if e, ok := errors.AsType[*carrier.CanceledError](err); ok {
		return fmt.Errorf("native: %w", &mux.ResetError{Code: uint64(e.Code)})
	}
	return s.lost(err)
}

// unfinished waits until a Write that was woken has returned, and returns how many bytes
// have been written in total. ok is false if the peer knows without being told.
func (st *stream) unfinished() (written uint64, ok bool) {
	st.writing.Lock()
	defer st.writing.Unlock()
	st.in.Lock()
	defer st.in.Unlock()
	return st.sent, !st.finSent
}

// wakeWriteLocked makes the current and later Writes fail with err, unless they fail
// already.
func (st *stream) wakeWriteLocked(err error) {
	st.writeErr = cmp.Or(st.writeErr, err)
	st.cs.SetWriteDeadline(past)
	st.s.outflows.rouse(st.out)
}

// CloseWrite implements [mux.Stream].
func (st *stream) CloseWrite() error {
	st.in.Lock()
	switch {
	case st.closed:
		defer st.in.Unlock()
		return st.writeErr
	case st.finSent, errors.Is(st.writeErr, mux.ErrReset): // Write and Read report it
		st.in.Unlock()
		return nil
	case st.writeErr != nil:
		defer st.in.Unlock()
		return st.writeErr
	}
	st.finSent = true
	st.wakeWriteLocked(errStreamHalfClosed)
	st.in.Unlock()
	return st.finish()
}

// finish tells the peer that nothing more follows, once Write has returned.
func (st *stream) finish() error {
	st.writing.Lock()
	defer st.writing.Unlock()
	if err := st.cs.CloseWrite(); err != nil {
		return st.s.lost(err)
	}
	return nil
}

// Close implements [mux.Stream].
func (st *stream) Close() error {
	st.in.Lock()
	if st.closed {
		st.in.Unlock()
		return nil
	}
	// Not after a failed Write: what was written must not look complete.
	finish, stop := !st.finSent && !st.over && st.writeErr == nil, st.in.StateLocked() != recv.Finished
	st.finSent = st.finSent || finish
	st.endUseLocked(errStreamClosed)
	st.in.Unlock()
	if stop {
		st.cs.CancelRead(codeClosed)
	}
	if finish {
		st.finish()
	}
	st.s.forget(st)
	return nil
}

// Reset implements [mux.Stream].
func (st *stream) Reset() error { return st.ResetWithCode(codeRefused) }

// ResetWithCode implements [mux.CodeResetter]. It does not wait for a Write that it
// wakes.
func (st *stream) ResetWithCode(code uint32) error {
	st.in.Lock()
	if st.closed {
		st.in.Unlock()
		return nil
	}
	tell := !st.over // otherwise the session has told it, or is about to
	st.finSent = st.finSent || tell
	st.endUseLocked(errStreamReset)
	st.in.Unlock()
	if tell {
		reset(st.cs, code)
	}
	st.s.forget(st)
	return nil
}

// endUseLocked ends the use of the stream on this end, with err.
func (st *stream) endUseLocked(err error) {
	st.closed = true
	st.writeErr = nil // whatever the error was
	st.wakeWriteLocked(err)
	st.endReceivingLocked(recv.Discarding, err)
}

// refuse gives the stream up with err and tells the peer.
func (st *stream) refuse(err error) {
	st.abort(recv.Discarding, err)
	reset(st.cs, codeRefused)
}

// abort ends both halves with err, for a reason other than the stream's user. The
// receiving half changes to the state as, unless it is already beyond that.
func (st *stream) abort(as recv.State, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	st.over = true
	st.endReceivingLocked(as, err)
	st.wakeWriteLocked(err)
}
