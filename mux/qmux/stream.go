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

// stream implements [mux.Stream]. Its receiving half has a lock of its own. Its sending
// half is guarded by the session's lock, which is taken after that one.
//
// The session holds it until neither end has more to say and its user has closed it.
type stream struct {
	s  *session
	in recv.Pushed

	final bool // the final size is known; guarded by in's lock

	// Guarded by session.Mu.
	named      bool // it has an id
	announced  bool // the peer knows of it
	incoming   bool // the peer has opened it
	accepted   bool // the user has accepted it, so it does not wait in the backlog
	closed     bool // by its user, or refused
	recvDone   bool // the peer has finished or reset its direction
	sendDone   bool // this end has finished or reset its direction
	over       bool // both are done
	ended      bool // the frame that finishes or resets this direction is sent or pending
	stopped    bool // STOP_SENDING is sent or pending
	writing    bool // a Write is under way
	waits      bool // it is in out.waiting
	late       bool // a call waits until its end is in a batch
	pending    pending
	id         uint64
	resetCode  uint64
	stopCode   uint32
	unanswered writeloop.Mark // after the last data, or the end; 0 if the peer has answered it
	granted    uint64         // bytes that the peer may send in total, as the next frame will say

	writable      sync.Cond // Write may go on
	sent          uint64    // bytes in total
	limit         uint64    // bytes that the peer allows in total
	flown         *flown    // see flight; nil with a peer of this library
	early         *[]byte   // written before it had an id, and not yet sent; or nil
	unsent        []byte    // what Write has not sent yet; comes after early
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
	st.writeDeadline.Set(t, deadline.OnCond(&st.writable))
	return nil
}

// CloseWrite implements [mux.Stream].
func (st *stream) CloseWrite() error {
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	switch err := cmp.Or(st.writeErr, s.ErrLocked()); {
	case err == errStreamHalfClosed:
	case errors.Is(err, mux.ErrReset): // Write and Read report it
		return nil
	case err != nil:
		return err
	default:
		s.writer.Hold()
		s.finishLocked(st)
		st.writeErr = errStreamHalfClosed
		st.writable.Broadcast()
		s.writer.ReleaseLate()
	}
	return s.awaitEndLocked(st)
}

// Close implements [mux.Stream]. If the peer waits for room, it cannot notice, so Close
// tells it to stop, with code 0. Otherwise the peer is told only if it sends more:
// usually everything it has to say is already on its way.
func (st *stream) Close() error {
	return st.endUse(errStreamClosed, true, func() {
		if st.writeErr == nil { // otherwise data was dropped, and FIN would claim that this is all
			st.s.finishLocked(st)
		}
		if st.in.ReceivedLocked() == st.in.AllowedLocked() {
			st.s.stopLocked(st, codeClosed)
		}
	})
}

// Reset implements [mux.Stream]. It sends the code 1.
func (st *stream) Reset() error { return st.ResetWithCode(codeRefused) }

// ResetWithCode is Reset with a code that says why. The peer gets it in a
// [*mux.ResetError].
func (st *stream) ResetWithCode(code uint32) error {
	return st.endUse(errStreamReset, false, func() { st.s.giveUpLocked(st, code) })
}

// endUse ends the use of the stream on this end with err, unless it has ended already. It
// calls tellLocked to inform the peer. If await is set, it then waits until the end of
// the stream has left, unless the peer waits for nothing.
func (st *stream) endUse(err error, await bool, tellLocked func()) error {
	st.in.Lock() // held to the end: an answer of the peer must not become the reason
	left, waits := st.endSendingLocked(err, await, tellLocked)
	if left {
		st.in.EndLocked(recv.Discarding, err)
	}
	st.in.Unlock()
	if !waits {
		return nil
	}
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	st.s.writer.ReleaseLate()
	return st.s.awaitEndLocked(st)
}

// endSendingLocked is endUse for the sending half. It reports whether the stream was in
// use until now, and whether to wait for its end, for which it holds the writer. The
// receiving half is locked.
func (st *stream) endSendingLocked(err error, await bool, tellLocked func()) (left, waits bool) {
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if st.closed {
		return false, false
	}
	st.closed = true
	s.ClosedLocked(st.incoming && !st.over)
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
	s.checkOverLocked(st)
	return true, waits
}

// abort ends both halves with err, for a reason other than the stream's user. The
// receiving half changes to the state as, unless it is already beyond that.
func (st *stream) abort(as recv.State, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	st.in.EndLocked(as, err)
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	st.writeErr = cmp.Or(st.writeErr, err)
	st.writable.Broadcast()
}

// finishLocked queues the end of what this end sends.
func (s *session) finishLocked(st *stream) {
	switch {
	case st.ended:
	case st.early == nil && s.out.batch != nil && s.out.batch.finish(st):
		st.ended = true
		st.sendDoneLocked()
		s.checkOverLocked(st)
	default:
		st.ended = true
		s.pendLocked(st, pendingFin)
	}
}

// giveUpLocked tells the peer that this end neither reads nor writes any more, and that
// the stream did not end in order.
func (s *session) giveUpLocked(st *stream, code uint32) {
	s.resetLocked(st, uint64(code))
	s.stopLocked(st, code)
}

// resetLocked tells the peer that this end sends no more, and reports whether that is
// news. It is not if FIN has been sent: the peer may have read everything.
func (s *session) resetLocked(st *stream, code uint64) bool {
	if st.ended && st.early == nil {
		return false
	}
	st.ended, st.resetCode = true, code
	s.setEarlyLocked(st, nil)
	s.pendLocked(st, pendingReset)
	st.pending &^= pendingFin // it waited for early data
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

// checkOverLocked notes whether neither end has more to say on st. It forgets st once the
// user has closed it too.
func (s *session) checkOverLocked(st *stream) {
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
	s.out.waiting.Cancel(&st.waits)
	if !st.incoming {
		s.outgoing.unended--
		if s.outgoing.unended == maxUnended-1 {
			s.WakeOpenLocked()
		}
	}
}
