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
	"github.com/backdial/backdial/internal/deadline"
	"github.com/backdial/backdial/internal/readbuf"
	"github.com/backdial/backdial/mux"
)

// A stream implements [mux.Stream] on a stream of the carrier.
type stream struct {
	s        *session
	cs       carrier.Stream
	fromPeer bool

	writing sync.Mutex // held while cs.Write or cs.CloseWrite is called

	mu     sync.Mutex // guards below
	closed bool       // Close or Reset was called

	// Receiving.
	readable     sync.Cond      // Read may go on, or the pump
	reading      bool           // a Read is in cs.Read
	pumped       bool           // from now on only the pump calls it
	readAt       time.Time      // when a Read returned the last bytes
	touched      bool           // a Read has returned since the session looked
	buffer       readbuf.Buffer // what the session has fetched
	accounted    int            // memory of buffer that is in session.held
	stalled      bool           // the pump stands still: it has fetched enough
	unlimited    bool           // everything is fetched that the budget has room for
	received     uint64         // bytes in all
	finished     bool           // the peer writes no more
	discarding   bool           // nobody reads any more
	readErr      error          // what Read returns after the buffer
	readDeadline deadline.Deadline
	forwarded    time.Time // the deadline of cs.Read

	// Sending.
	sent     uint64 // bytes in all
	finSent  bool   // CloseWrite, Close or Reset was called, and the peer told
	over     bool   // the session gave it up: the peer must not see an end
	writeErr error  // what Write returns
}

var (
	_ mux.CodeResetter = (*stream)(nil)
	_ mux.WriterTo     = (*stream)(nil)
)

var (
	errStreamClosed     = fmt.Errorf("stream: %w", net.ErrClosed)
	errStreamReset      = fmt.Errorf("stream: reset by this end: %w", net.ErrClosed)
	errStreamHalfClosed = fmt.Errorf("stream: write after CloseWrite: %w", net.ErrClosed)
)

func newStream(s *session, cs carrier.Stream) *stream {
	st := &stream{s: s, cs: cs, touched: true}
	st.readable.L = &st.mu
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
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.discarding {
		return st.readErr
	}
	st.readDeadline.Set(t, &st.readable)
	if st.reading {
		st.forwardLocked(t)
	}
	return nil
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
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return st.writeErr
	}
	if st.writeErr == nil { // otherwise the deadline is what wakes Write
		st.cs.SetWriteDeadline(t)
	}
	return nil
}

// Write implements [mux.Stream].
func (st *stream) Write(p []byte) (int, error) {
	st.writing.Lock()
	defer st.writing.Unlock()
	st.mu.Lock()
	err := st.writeErr
	st.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := st.cs.Write(p)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.sent += uint64(n)
	switch {
	case err == nil:
		return n, nil
	case st.writeErr != nil: // which woke cs.Write
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, os.ErrDeadlineExceeded
	default:
		st.writeErr = streamErr(err)
	}
	return n, st.writeErr
}

// streamErr is what the user of a stream is told, which the carrier reports err of.
func streamErr(err error) error {
	if e, ok := errors.AsType[*carrier.CanceledError](err); ok {
		return fmt.Errorf("native: %w", &mux.ResetError{Code: uint64(e.Code)})
	}
	return lost(err)
}

// unfinished waits until a Write that was woken has returned, and returns how
// many bytes have been written in all, unless the peer knows by itself.
func (st *stream) unfinished() (written uint64, ok bool) {
	st.writing.Lock()
	defer st.writing.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.sent, !st.finSent
}

// wakeWriteLocked makes Write, of now and of later, fail with err, unless it
// fails already.
func (st *stream) wakeWriteLocked(err error) {
	st.writeErr = cmp.Or(st.writeErr, err)
	st.cs.SetWriteDeadline(past)
}

// CloseWrite implements [mux.Stream].
func (st *stream) CloseWrite() error {
	st.mu.Lock()
	switch {
	case st.closed:
		defer st.mu.Unlock()
		return st.writeErr
	case st.finSent:
		st.mu.Unlock()
		return nil
	case st.writeErr != nil:
		defer st.mu.Unlock()
		return st.writeErr
	}
	st.finSent = true
	st.wakeWriteLocked(errStreamHalfClosed)
	st.mu.Unlock()
	return st.finish()
}

// finish tells the peer that nothing more follows, once Write has returned.
func (st *stream) finish() error {
	st.writing.Lock()
	defer st.writing.Unlock()
	if err := st.cs.CloseWrite(); err != nil {
		return lost(err)
	}
	return nil
}

// Close implements [mux.Stream].
func (st *stream) Close() error {
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		return nil
	}
	finish, stop := !st.finSent && !st.over, !st.finished
	st.finSent = st.finSent || finish
	st.leaveLocked(errStreamClosed)
	st.mu.Unlock()
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
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		return nil
	}
	tell := !st.over // otherwise the session has, or is about to
	st.finSent = st.finSent || tell
	st.leaveLocked(errStreamReset)
	st.mu.Unlock()
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
	st.discardLocked(err)
}

// refuse gives the stream up for the reason err and tells the peer.
func (st *stream) refuse(err error) {
	st.abort(err, true)
	reset(st.cs, codeRefused)
}

// abort ends both halves for the reason err, which did not come from the
// stream's user. What has arrived can still be read, unless discard says
// otherwise.
func (st *stream) abort(err error, discard bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.over = true
	if discard {
		st.discardLocked(err)
	} else {
		st.readErr = cmp.Or(st.readErr, err)
		st.readable.Broadcast()
	}
	st.wakeWriteLocked(err)
}
