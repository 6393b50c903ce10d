package engine

import (
	"cmp"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/deadline"
	"github.com/backdial/backdial/internal/readbuf"
	"github.com/backdial/backdial/internal/window"
	"github.com/backdial/backdial/mux"
)

// A Stream implements [mux.Stream]. Its two halves have locks of their own:
// receiving has mu, sending the session's. Who needs both takes mu first.
//
// The frames of a stream concern it until its user closes it. What arrives for
// it later is a stray.
type Stream struct {
	s  *Session
	id uint32

	mu           sync.Mutex     // guards below
	readable     sync.Cond      // Read may go on
	buffer       readbuf.Buffer // what has arrived
	received     uint64         // bytes in all
	consumed     uint64         // bytes that were read
	accounted    int            // memory of buffer that is in Session.windows
	allowed      uint64         // bytes that the peer may send in all
	window       window.Window  // how many more than consumed that is
	finished     bool           // the peer writes no more
	discarding   bool           // nobody reads any more
	readErr      error          // what Read returns after the buffer
	readDeadline deadline.Deadline

	// Guarded by Session.mu.
	writable      sync.Cond // Write may go on
	sent          uint64    // bytes in all
	limit         uint64    // bytes that the peer allows in all
	writing       bool      // a Write is under way
	unsent        []byte    // what it has not sent yet
	waits         bool      // it has a turn in Session.waiting
	writeErr      error     // what Write returns
	finSent       bool      // CloseWrite or Close was called
	closed        bool      // Close or Reset was called
	over          bool      // the peer is not interested in frames
	accepted      bool      // the peer has accepted the stream, or opened it
	writeDeadline deadline.Deadline
}

var (
	_ mux.WriterTo = (*Stream)(nil)
	_ mux.Checker  = (*Stream)(nil)
)

var (
	errStreamClosed     = fmt.Errorf("stream: %w", net.ErrClosed)
	errStreamReset      = fmt.Errorf("stream: reset by this end: %w", net.ErrClosed)
	errStreamHalfClosed = fmt.Errorf("stream: write after CloseWrite: %w", net.ErrClosed)
)

func newStream(s *Session, id uint32) *Stream {
	st := &Stream{s: s, id: id, allowed: uint64(s.config.Window), window: s.windows.New(), limit: initialWindow}
	st.readable.L = &st.mu
	st.writable.L = &s.mu
	return st
}

// LocalAddr returns that of the session's connection.
func (st *Stream) LocalAddr() net.Addr { return st.s.conn.LocalAddr() }

// RemoteAddr returns that of the session's connection.
func (st *Stream) RemoteAddr() net.Addr { return st.s.conn.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (st *Stream) SetDeadline(t time.Time) error {
	if err := st.SetReadDeadline(t); err != nil {
		return err
	}
	return st.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (st *Stream) SetReadDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.discarding {
		return st.readErr
	}
	st.readDeadline.Set(t, &st.readable)
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (st *Stream) SetWriteDeadline(t time.Time) error {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.closed {
		return st.writeErr
	}
	st.writeDeadline.Set(t, &st.writable)
	return nil
}

// Close implements [mux.Stream].
func (st *Stream) Close() error {
	st.leave(errStreamClosed, st.farewellLocked)
	return nil
}

// Reset implements [mux.Stream]. What is in the session's queue still leaves: it is
// shared, and short.
func (st *Stream) Reset() error {
	st.leave(errStreamReset, st.giveUpLocked)
	return nil
}

// leave ends the use of the stream on this end, for which err is why, unless it has
// ended. It calls tell unless the peer is not interested.
func (st *Stream) leave(err error, tell func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.closed {
		return
	}
	st.closed = true
	if s.streams[st.id] == st { // otherwise it was refused before it was accepted
		s.forgetLocked(st)
		s.inUse--
		s.drained.Broadcast()
	}
	if !st.over {
		tell()
	}
	st.writeDeadline.Stop()
	st.writeErr = err
	st.writable.Broadcast()
	st.discardLocked(err)
}

// farewellLocked tells the peer that this end neither reads nor writes any
// more.
func (st *Stream) farewellLocked() {
	f := Frame{ID: st.id, Credit: st.creditLocked()}
	if !st.finSent {
		st.finSent = true
		f.Flags = Fin
	}
	if !st.finished {
		f.Flags |= Stop
	}
	if f.Flags != 0 {
		st.s.appendLocked(f)
	}
	if !st.finished && st.received == st.allowed {
		// The peer cannot find out by writing: it waits for credit.
		st.s.appendLocked(Frame{Flags: Stray, ID: st.id})
	}
}

// giveUpLocked tells the peer that this end neither reads nor writes any more, and
// that this is not how it should end. If both have ended all the same, there is
// nothing to be told.
func (st *Stream) giveUpLocked() {
	if !st.finSent || !st.finished {
		st.s.appendLocked(Frame{Flags: Reset, ID: st.id, Credit: st.creditLocked()})
	}
}

// abort ends both halves for the reason err, which did not come from the
// stream's user. What the peer had finished before can still be read, unless
// discard says otherwise.
func (st *Stream) abort(err error, discard bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if discard {
		st.discardLocked(err)
	} else {
		st.readErr = cmp.Or(st.readErr, err)
		st.s.windows.Shrink(&st.window)
		st.readable.Broadcast()
	}
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.over = true
	st.writeErr = cmp.Or(st.writeErr, err)
	st.writable.Broadcast()
}

// reset is abort by the peer.
func (st *Stream) reset() {
	st.abort(fmt.Errorf("%s: %w", st.s.wire.Name(), mux.ErrReset), false)
}
