package engine

import (
	"cmp"
	"fmt"
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
// The session knows a stream until its user closes it. Later frames for it are strays.
type stream struct {
	s  *session
	id uint32
	in recv.Pushed

	// Guarded by session.Mu.
	writable      sync.Cond      // Write may go on
	sent          uint64         // bytes in total
	limit         uint64         // bytes that the peer allows in total
	writing       bool           // a Write is under way
	unsent        []byte         // the rest of that Write
	waits         bool           // it is in session.waiting
	writeErr      error          // what Write returns
	finSent       bool           // CloseWrite or Close was called
	finReceived   bool           // the peer has finished
	vacated       bool           // it no longer counts as one of the peer's streams
	closed        bool           // Close or Reset was called
	over          bool           // the peer wants no frames
	accepted      bool           // the peer has accepted the stream, or opened it
	unanswered    writeloop.Mark // after the last data, or the end; 0 if the peer has answered it
	writeDeadline deadline.Deadline
}

var (
	_ mux.WriterTo = (*stream)(nil)
	_ mux.Checker  = (*stream)(nil)
)

var (
	errStreamClosed     = fmt.Errorf("stream: %w", net.ErrClosed)
	errStreamReset      = fmt.Errorf("stream: reset by this end: %w", net.ErrClosed)
	errStreamHalfClosed = fmt.Errorf("stream: write after CloseWrite: %w", net.ErrClosed)
)

func newStream(s *session, id uint32) *stream {
	st := &stream{s: s, id: id, limit: initialWindow, unanswered: 1}
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

// Close implements [mux.Stream].
func (st *stream) Close() error { return st.endUse(errStreamClosed, st.farewellLocked, true) }

// Reset implements [mux.Stream]. What is already in the session's queue is still sent:
// the queue is shared, and short.
func (st *stream) Reset() error { return st.endUse(errStreamReset, st.giveUpLocked, false) }

// endUse ends the use of the stream on this end with err, unless it has ended already. It
// calls tell unless the peer wants no frames. If await is set, it then waits until the
// end of the stream has left, unless the peer waits for nothing.
func (st *stream) endUse(err error, tell func(), await bool) error {
	st.in.Lock() // held to the end: an answer of the peer must not become the reason
	left, waits := st.endSendingLocked(err, tell, await)
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
	return st.awaitEndLocked()
}

// endSendingLocked is endUse for the sending half. It reports whether the stream was in
// use until now, and whether to wait for its end, for which it holds the writer. The
// receiving half is locked.
func (st *stream) endSendingLocked(err error, tell func(), await bool) (left, waits bool) {
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if st.closed {
		return false, false
	}
	st.closed = true
	if s.streams[st.id] == st { // otherwise it was refused before anybody accepted it
		s.forgetLocked(st)
		s.ClosedLocked(!s.opensLocally(st.id) && !st.vacated)
	}
	waits = await && !st.over && st.unanswered != 0
	if waits {
		s.writer.Hold()
	}
	if !st.over {
		tell()
		st.unanswered = s.writer.Mark()
	}
	st.writeDeadline.Stop()
	st.writeErr = err
	st.writable.Broadcast()
	return true, waits
}

// farewellLocked tells the peer that this end neither reads nor writes any
// more.
func (st *stream) farewellLocked() {
	f := Frame{ID: st.id, Credit: st.creditLocked()}
	if !st.finSent {
		st.finSent = true
		f.Flags = Fin
	}
	if st.in.StateLocked() != recv.Finished {
		f.Flags |= Stop
	}
	if f.Flags != 0 {
		st.s.appendLocked(f)
	}
	if st.in.StateLocked() != recv.Finished && st.in.ReceivedLocked() == st.in.AllowedLocked() {
		// The peer waits for credit, so it cannot notice by writing.
		st.s.appendLocked(Frame{Flags: Stray, ID: st.id})
	}
}

// giveUpLocked tells the peer that this end neither reads nor writes any more, and that
// the stream did not end in order. If both directions have ended already, there is
// nothing to tell.
func (st *stream) giveUpLocked() {
	st.s.departedLocked(st.id) // libraries may send nothing more about it
	if !st.finSent || st.in.StateLocked() != recv.Finished {
		st.s.appendLocked(Frame{Flags: Reset, ID: st.id, Credit: st.creditLocked()})
	}
}

// abort ends both halves with err, for a reason other than the stream's user. The
// receiving half changes to the state as, unless it is already beyond that.
func (st *stream) abort(as recv.State, err error) {
	st.in.Lock()
	defer st.in.Unlock()
	st.in.EndLocked(as, err)
	st.s.Mu.Lock()
	defer st.s.Mu.Unlock()
	st.over = true
	st.writeErr = cmp.Or(st.writeErr, err)
	st.writable.Broadcast()
}
