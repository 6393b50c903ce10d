package qmux

import (
	"cmp"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/deadline"
	"github.com/backdial/backdial/internal/readbuf"
	"github.com/backdial/backdial/internal/window"
	"github.com/backdial/backdial/mux"
)

// A Stream implements [mux.Stream]. What a session of this package opens and accepts
// is one.
//
// Its two halves have locks of their own: receiving has mu, sending the session's.
// The session knows it until neither end has more to say and its user has closed it.
type Stream struct {
	s *session

	mu           sync.Mutex     // guards below
	readable     sync.Cond      // Read may go on
	buffer       readbuf.Buffer // what has arrived
	received     uint64         // bytes in all
	allowed      uint64         // bytes that the peer may send in all
	window       window.Window  // how many more than consumed that is
	into         []byte         // of a Read that waits, to be filled at once
	readErr      error          // what Read returns after the buffer
	readDeadline deadline.Deadline
	filled       int32 // of into, by who receives
	accounted    int32 // memory of buffer that is in session.windows
	finished     bool  // all has arrived
	wasReset     bool  // the peer sends no more, although that is not all
	discarding   bool  // nobody reads any more

	// Guarded by session.mu.
	named     bool // it has an id
	announced bool // the peer knows of it
	incoming  bool // the peer has opened it
	accepted  bool // and it does not wait to be accepted
	closed    bool // by its user, or refused
	recvDone  bool // the peer has finished or reset it
	sendDone  bool // this end has
	over      bool // both
	ended     bool // the peer is told, or about to be, that this end has finished or reset it
	stopped   bool // the peer is asked, or about to be, to send no more
	writing   bool // a Write is under way
	waits     bool // it has a turn in out.waiting
	pending   pending
	id        uint64
	resetCode uint64
	stopCode  uint32
	granted   uint64 // bytes that it may send in all, as the peer is to be told

	writable      sync.Cond // Write may go on
	sent          uint64    // bytes in all
	limit         uint64    // bytes that the peer allows in all
	flown         *flown    // see flight; nil with a peer of this library
	early         *[]byte   // what was written before it had an id, and was not sent; nil: nothing
	unsent        []byte    // what a Write has not sent yet, after early
	writeErr      error     // what Write returns
	writeDeadline deadline.Deadline
}

var (
	_ mux.CodeResetter = (*Stream)(nil)
	_ mux.WriterTo     = (*Stream)(nil)
	_ mux.Checker      = (*Stream)(nil)
)

func newStream(s *session) *Stream {
	st := &Stream{s: s, allowed: uint64(s.config.Window), window: s.windows.New()}
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

// CloseWrite implements [mux.Stream].
func (st *Stream) CloseWrite() error {
	s := st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case st.writeErr == errStreamHalfClosed:
		return nil
	case st.writeErr != nil:
		return st.writeErr
	}
	s.finishLocked(st)
	st.writeErr = errStreamHalfClosed
	st.writable.Broadcast()
	return nil
}

// Close implements [mux.Stream]. A peer that goes on sending is told to stop with
// code 0, when it does: usually what it has to say is on its way already. One that
// waits for room cannot find out, and is told at once.
func (st *Stream) Close() error {
	st.leave(errStreamClosed, func() {
		if st.writeErr == nil { // otherwise that is not all, unless it has been said
			st.s.finishLocked(st)
		}
		if st.received == st.allowed {
			st.s.stopLocked(st, codeClosed)
		}
	})
	return nil
}

// Reset implements [mux.Stream]. The peer gets the code 1.
func (st *Stream) Reset() error { return st.ResetWithCode(codeRefused) }

// ResetWithCode is Reset with a code that says why. The peer finds it in a
// [*mux.ResetError].
func (st *Stream) ResetWithCode(code uint32) error {
	st.leave(errStreamReset, func() { st.s.giveUpLocked(st, code) })
	return nil
}

// leave ends the use of the stream on this end, for which err is why, unless it has
// ended. It calls tellLocked to have the peer told.
func (st *Stream) leave(err error, tellLocked func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.closed {
		return
	}
	st.closed = true
	s.inUse--
	s.drained.Broadcast()
	if st.incoming {
		s.incoming.open--
	} else {
		s.outgoing.unended++
	}
	tellLocked()
	st.writeDeadline.Stop()
	st.writeErr = err
	st.writable.Broadcast()
	st.discardLocked(err)
	s.settleLocked(st)
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
	st.writeErr = cmp.Or(st.writeErr, err)
	st.writable.Broadcast()
}

// refuse gives the stream up for the reason err, and has the peer told.
func (st *Stream) refuse(err error) {
	st.s.mu.Lock()
	st.s.giveUpLocked(st, codeRefused)
	st.writeErr = cmp.Or(st.writeErr, err) // at once: no data may follow RESET_STREAM
	st.s.mu.Unlock()
	st.abort(err, true)
}

// finishLocked has the peer told that this end has sent all.
func (s *session) finishLocked(st *Stream) {
	switch {
	case st.ended:
	case st.early == nil && s.out.batch != nil && s.out.batch.finish(st):
		st.ended, st.sendDone = true, true
		s.settleLocked(st)
	default:
		st.ended = true
		s.pendLocked(st, pendingFin)
	}
}

// giveUpLocked has the peer told that this end neither reads nor writes any more, and
// that this is not how it should end.
func (s *session) giveUpLocked(st *Stream, code uint32) {
	s.resetLocked(st, uint64(code))
	s.stopLocked(st, code)
}

// resetLocked has the peer told that this end sends no more, and reports whether that is
// news. It is not if the peer has been told that this end has sent all: it may have read
// that.
func (s *session) resetLocked(st *Stream, code uint64) bool {
	if st.ended && st.early == nil {
		return false
	}
	st.ended, st.resetCode = true, code
	s.setEarlyLocked(st, nil)
	s.pendLocked(st, pendingReset)
	st.pending &^= pendingFin // which waited for what was early
	return true
}

// stopLocked asks the peer to send no more.
func (s *session) stopLocked(st *Stream, code uint32) {
	if st.recvDone || st.stopped {
		return
	}
	st.stopped, st.stopCode = true, code
	s.pendLocked(st, pendingStop)
}

// settleLocked notes it if neither end has more to say on st, and forgets st if its
// user has not either.
func (s *session) settleLocked(st *Stream) {
	if st.recvDone && st.sendDone && !st.over {
		st.over = true
		if st.incoming && st.accepted {
			s.incoming.over++
			s.grantStreamsLocked()
		}
	}
	if !st.over || !st.closed || s.streams[st.id] != st {
		return
	}
	delete(s.streams, st.id)
	s.out.waiting.Leave(&st.waits)
	if !st.incoming {
		s.outgoing.unended--
		if s.outgoing.unended == maxUnended-1 {
			s.opening.Broadcast()
		}
	}
}
