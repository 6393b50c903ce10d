package qmux

import (
	"cmp"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/deadline"
	"github.com/backdial/backdial/mux/internal/recv"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// A stream implements [mux.Stream]. Its two halves have locks of their own: sending has
// that of the session, which is taken after that of the receiving half.
//
// The session knows it until neither end has more to say and its user has closed it.
type stream struct {
	s  *session
	in recv.Pushed

	final bool // how much the peer sends in all is known; guarded by in's lock

	// Guarded by session.Mu.
	named      bool // it has an id
	announced  bool // the peer knows of it
	incoming   bool // the peer has opened it
	accepted   bool // and it does not wait to be accepted
	closed     bool // by its user, or refused
	recvDone   bool // the peer has finished or reset it
	sendDone   bool // this end has
	over       bool // both
	ended      bool // the peer is told, or about to be, that this end has finished or reset it
	stopped    bool // the peer is asked, or about to be, to send no more
	writing    bool // a Write is under way
	waits      bool // it has a turn in out.waiting
	pending    pending
	id         uint64
	resetCode  uint64
	stopCode   uint32
	unanswered writeloop.Mark // after the last of sent; 0 if the peer has answered that
	granted    uint64         // bytes that it may send in all, as the peer is to be told

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
	_ mux.CodeResetter = (*stream)(nil)
	_ mux.WriterTo     = (*stream)(nil)
	_ mux.Checker      = (*stream)(nil)
)

func newStream(s *session) *stream {
	st := &stream{s: s, unanswered: 1}
	st.in.Init(&s.budget, owner{st})
	st.writable.L = &s.Mu
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

// SetWriteDeadline implements [net.Conn].
func (st *stream) SetWriteDeadline(t time.Time) error {
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	if st.closed {
		return st.writeErr
	}
	st.writeDeadline.Set(t, &st.writable)
	return nil
}

// CloseWrite implements [mux.Stream].
func (st *stream) CloseWrite() error {
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	switch err := cmp.Or(st.writeErr, s.ErrLocked()); {
	case err == errStreamHalfClosed:
	case errors.Is(err, mux.ErrReset): // which Write and Read tell
		return nil
	case err != nil:
		return err
	default:
		s.writer.Hold()
		s.finishLocked(st)
		st.writeErr = errStreamHalfClosed
		st.writable.Broadcast()
		s.writer.Release()
	}
	return s.awaitEndLocked(st)
}

// Close implements [mux.Stream]. A peer that goes on sending is told to stop with
// code 0, when it does: usually what it has to say is on its way already. One that
// waits for room cannot find out, and is told at once.
func (st *stream) Close() error {
	return st.leave(errStreamClosed, true, func() {
		if st.writeErr == nil { // otherwise that is not all, unless it has been said
			st.s.finishLocked(st)
		}
		if st.in.ReceivedLocked() == st.in.AllowedLocked() {
			st.s.stopLocked(st, codeClosed)
		}
	})
}

// Reset implements [mux.Stream]. The peer gets the code 1.
func (st *stream) Reset() error { return st.ResetWithCode(codeRefused) }

// ResetWithCode is Reset with a code that says why. The peer finds it in a
// [*mux.ResetError].
func (st *stream) ResetWithCode(code uint32) error {
	return st.leave(errStreamReset, false, func() { st.s.giveUpLocked(st, code) })
}

// leave ends the use of the stream on this end, for which err is why, unless it has
// ended. It calls tellLocked to have the peer told. With await it then waits until the end
// of the stream has left, if the peer may wait for it.
func (st *stream) leave(err error, await bool, tellLocked func()) error {
	st.in.Lock() // until it is over: what the peer answers must not be why
	left, waits := st.leaveSendingLocked(err, await, tellLocked)
	if left {
		st.in.EndLocked(recv.Discarding, err)
	}
	st.in.Unlock()
	if !waits {
		return nil
	}
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	st.s.writer.Release()
	return st.s.awaitEndLocked(st)
}

// leaveSendingLocked is leave for the sending half. It reports whether the stream had not
// been left before, and whether the end of the stream is to be waited for, which the writer
// holds then. The receiving half is locked.
func (st *stream) leaveSendingLocked(err error, await bool, tellLocked func()) (left, waits bool) {
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if st.closed {
		return false, false
	}
	st.closed = true
	s.LeftLocked(st.incoming && !st.over)
	if !st.incoming {
		s.outgoing.unended++
	}
	sound := st.writeErr == nil || st.writeErr == errStreamHalfClosed
	waits = await && sound && (st.unanswered != 0 || st.early != nil)
	if waits {
		s.writer.Hold()
	}
	tellLocked()
	st.writeDeadline.Stop()
	st.writeErr = err
	st.writable.Broadcast()
	s.settleLocked(st)
	return true, waits
}

// abort ends both halves for the reason err, which did not come from the stream's user. The
// receiving one comes to the state as, unless it is beyond that.
func (st *stream) abort(as recv.State, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	st.in.EndLocked(as, err)
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	st.writeErr = cmp.Or(st.writeErr, err)
	st.writable.Broadcast()
}

// finishLocked has the peer told that this end has sent all.
func (s *session) finishLocked(st *stream) {
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
func (s *session) giveUpLocked(st *stream, code uint32) {
	s.resetLocked(st, uint64(code))
	s.stopLocked(st, code)
}

// resetLocked has the peer told that this end sends no more, and reports whether that is
// news. It is not if the peer has been told that this end has sent all: it may have read
// that.
func (s *session) resetLocked(st *stream, code uint64) bool {
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
func (s *session) stopLocked(st *stream, code uint32) {
	if st.recvDone || st.stopped {
		return
	}
	st.stopped, st.stopCode = true, code
	s.pendLocked(st, pendingStop)
}

// settleLocked notes it if neither end has more to say on st, and forgets st if its
// user has not either.
func (s *session) settleLocked(st *stream) {
	if st.recvDone && st.sendDone && !st.over {
		st.over = true
		if st.incoming && st.accepted {
			s.vacatedLocked(st)
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
			s.WakeOpenLocked()
		}
	}
}
