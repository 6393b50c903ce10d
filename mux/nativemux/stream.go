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

// A stream implements [mux.Stream] on a stream of the carrier.
type stream struct {
	s        *session
	cs       carrier.Stream
	fromPeer bool

	writing sync.Mutex // held while cs.Write or cs.CloseWrite is called

	in     recv.Half // its lock guards below
	closed bool      // Close or Reset was called

	// Receiving.
	reading   bool          // a Read is in cs.Read
	pumped    bool          // from now on only the pump calls it
	awaited   bool          // a Read waits for bytes
	touched   bool          // a Read has returned since the session looked
	stalled   bool          // the pump stands still: it has fetched enough
	unlimited bool          // everything is fetched that the budget has room for
	inflow    inflow        // how much was read
	readAt    time.Duration // of the session, when a Read returned the last bytes
	accounted int           // memory of the buffer that is in session.held
	guess     int           // bytes that the stream may hold, in session.guessed
	received  uint64        // bytes in all
	forwarded time.Time     // the deadline of cs.Read

	// Sending.
	out           *outflow   // what took credit
	sent          uint64     // bytes in all
	finSent       bool       // CloseWrite, Close or Reset was called, and the peer told
	over          bool       // the session gave it up: the peer must not see an end
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
			at := t // which is not to escape if it is zero
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
	case st.writeErr != nil: // which woke cs.Write
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, os.ErrDeadlineExceeded
	default:
		st.writeErr = st.s.streamErr(err)
	}
	return n, st.writeErr
}

// streamErr is what the user of a stream is told, which the carrier reports err of.
func (s *session) streamErr(err error) error {
	if e, ok := errors.AsType[*carrier.CanceledError](err); ok {
		return fmt.Errorf("native: %w", &mux.ResetError{Code: uint64(e.Code)})
	}
	return s.lost(err)
}

// unfinished waits until a Write that was woken has returned, and returns how
// many bytes have been written in all, unless the peer knows by itself.
func (st *stream) unfinished() (written uint64, ok bool) {
	st.writing.Lock()
	defer st.writing.Unlock()
	st.in.Lock()
	defer st.in.Unlock()
	return st.sent, !st.finSent
}

// wakeWriteLocked makes Write, of now and of later, fail with err, unless it
// fails already.
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
	case st.finSent, errors.Is(st.writeErr, mux.ErrReset): // which Write and Read tell
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
	// Not after a Write that failed: what was written must not look like all.
	finish, stop := !st.finSent && !st.over && st.writeErr == nil, st.in.StateLocked() != recv.Finished
	st.finSent = st.finSent || finish
	st.leaveLocked(errStreamClosed)
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
	tell := !st.over // otherwise the session has, or is about to
	st.finSent = st.finSent || tell
	st.leaveLocked(errStreamReset)
	st.in.Unlock()
	if tell {
		reset(st.cs, code)
	}
	st.s.forget(st)
	return nil
}

// leaveLocked ends the use of the stream on this end, for which err is why.
func (st *stream) leaveLocked(err error) {
	st.closed = true
	st.writeErr = nil // whatever it was
	st.wakeWriteLocked(err)
	st.endReceivingLocked(recv.Discarding, err)
}

// refuse gives the stream up for the reason err and tells the peer.
func (st *stream) refuse(err error) {
	st.abort(recv.Discarding, err)
	reset(st.cs, codeRefused)
}

// abort ends both halves for the reason err, which did not come from the stream's user. The
// receiving one comes to the state as, unless it is beyond that.
func (st *stream) abort(as recv.State, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	st.over = true
	st.endReceivingLocked(as, err)
	st.wakeWriteLocked(err)
}
