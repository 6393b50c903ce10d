package muxlib

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/deadline"
)

// stream implements [mux.Stream]. Its lock is taken before that of the session, and is
// not held while the library may wait.
type stream struct {
	s        *session
	inner    net.Conn
	fromPeer bool
	vacated  bool // it no longer counts as one of the peer's streams; guarded by session.Mu

	mu      sync.Mutex    // guards below
	changed sync.Cond     // wakes calls that wait
	err     error         // why calls fail, once this end has closed the stream
	left    bool          // its user has closed it
	lost    error         // why the session has ended, if it has
	ends    chan struct{} // closed when the last CloseWrite or Close of inner has returned; or nil

	reading      bool // a Read is under way
	ended        bool // Read has returned io.EOF
	collected    bool // Read returns only what follows
	rest         []byte
	restErr      error
	readDeadline deadline.Deadline

	writing       bool    // a Write is under way
	out           *[]byte // what inner is writing; nil for nothing
	finished      bool    // CloseWrite was called
	writeErr      error   // why inner writes no more
	writeDeadline deadline.Deadline
}

var _ mux.Stream = (*stream)(nil)

var (
	errStreamClosed     = fmt.Errorf("stream: %w", net.ErrClosed)
	errStreamReset      = fmt.Errorf("stream: reset by this end: %w", net.ErrClosed)
	errStreamHalfClosed = fmt.Errorf("stream: write after CloseWrite: %w", net.ErrClosed)
)

func newStream(s *session, inner net.Conn, fromPeer bool) *stream {
	st := &stream{s: s, inner: inner, fromPeer: fromPeer}
	st.changed.L = &st.mu
	return st
}

// LocalAddr returns that of the session's connection.
func (st *stream) LocalAddr() net.Addr { return st.s.end.LocalAddr() }

// RemoteAddr returns that of the session's connection.
func (st *stream) RemoteAddr() net.Addr { return st.s.end.RemoteAddr() }

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
	if st.err != nil {
		return st.err
	}
	st.readDeadline.Set(t, deadline.OnCond(&st.changed))
	if st.lost != nil {
		return nil // collect reads inner
	}
	return st.inner.SetReadDeadline(st.readDeadline.At())
}

// SetWriteDeadline implements [net.Conn].
func (st *stream) SetWriteDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil {
		return st.err
	}
	st.writeDeadline.Set(t, deadline.OnCond(&st.changed))
	return nil
}

// CloseWrite implements [mux.Stream].
func (st *stream) CloseWrite() error {
	c, ok := st.inner.(HalfCloser)
	if !ok {
		return fmt.Errorf("%s: CloseWrite: the library has none: %w", st.s.library.Name, errors.ErrUnsupported)
	}
	st.mu.Lock()
	err, first := cmp.Or(st.err, st.lost), !st.finished
	if err == nil && first {
		st.finished = true
		st.changed.Broadcast()
		st.vacateLocked()
	}
	st.mu.Unlock()
	switch {
	case err != nil:
		return err
	case first:
		st.end(func() { c.CloseWrite() })
	}
	return st.awaitSent(false)
}

// Close implements [mux.Stream].
func (st *stream) Close() error {
	if !st.endUse(errStreamClosed) {
		return nil
	}
	st.end(func() { st.inner.Close() })
	return st.awaitSent(true)
}

// Reset implements [mux.Stream].
func (st *stream) Reset() error {
	if st.endUse(errStreamReset) {
		st.s.run(func() { giveUp(st.inner) })
	}
	return nil
}

// abort makes calls fail with err because the session is closed. The peer is told
// nothing: it would take that for the end of what the user was going to write.
func (st *stream) abort(err error) {
	if st.fail(err) {
		st.end(func() {})
	}
}

// refuse resets a stream that nobody will accept, with err.
func (st *stream) refuse(err error) {
	if st.fail(err) {
		st.s.run(func() { giveUp(st.inner) })
	}
}

// giveUp ends a stream that did not end in order.
func giveUp(inner net.Conn) {
	if r, ok := inner.(Resetter); ok {
		r.Reset()
		return
	}
	inner.Close()
}

// endUse ends the use of the stream by its user, with err. It reports whether inner must
// be ended too.
func (st *stream) endUse(err error) bool {
	st.mu.Lock()
	again := st.left
	st.left = true
	st.mu.Unlock()
	if again {
		return false
	}
	first := st.fail(err)
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	st.s.ClosedLocked(st.fromPeer && !st.vacated)
	return first
}

// vacateLocked makes a stream that both ends have finished leave its place to another.
// The peer may open that one before this end calls Close.
func (st *stream) vacateLocked() {
	frames, id := st.frames()
	ended := st.ended || frames != nil && frames.Heard(id).Ended
	if !st.fromPeer || !st.finished || !ended || st.left {
		return
	}
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	if !st.vacated {
		st.vacated = true
		st.s.VacatedLocked()
	}
}

// fail makes calls fail with err, and reports whether they did not fail before.
func (st *stream) fail(err error) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil {
		return false
	}
	st.err = err
	st.changed.Broadcast()
	st.readDeadline.Stop()
	st.writeDeadline.Stop()
	st.inner.SetReadDeadline(time.Unix(1, 0)) // wakes Read
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	delete(st.s.streams, st)
	return true
}

// lose notes that the session has ended with err.
func (st *stream) lose(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.lost = err
	st.changed.Broadcast()
}
