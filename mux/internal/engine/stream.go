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

// A stream implements [mux.Stream]. Its two halves have locks of their own: sending has
// that of the session, which is taken after that of the receiving half.
//
// The frames of a stream concern it until its user closes it. What arrives for
// it later is a stray.
type stream struct {
	s  *session
	id uint32
	in recv.Pushed

	// Guarded by session.Mu.
	writable      sync.Cond      // Write may go on
	sent          uint64         // bytes in all
	limit         uint64         // bytes that the peer allows in all
	writing       bool           // a Write is under way
	unsent        []byte         // what it has not sent yet
	waits         bool           // it has a turn in Session.waiting
	writeErr      error          // what Write returns
	finSent       bool           // CloseWrite or Close was called
	finReceived   bool           // the peer has finished
	vacated       bool           // it does not count among those of the peer
	closed        bool           // Close or Reset was called
	over          bool           // the peer is not interested in frames
	accepted      bool           // the peer has accepted the stream, or opened it
	unanswered    writeloop.Mark // after the last of sent; 0 if the peer has answered that
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
	st.writeDeadline.Set(t, &st.writable)
	return nil
}

// Close implements [mux.Stream].
func (st *stream) Close() error { return st.leave(errStreamClosed, st.farewellLocked, true) }

// Reset implements [mux.Stream]. What is in the session's queue still leaves: it is
// shared, and short.
func (st *stream) Reset() error { return st.leave(errStreamReset, st.giveUpLocked, false) }

// leave ends the use of the stream on this end, for which err is why, unless it has
// ended. It calls tell unless the peer is not interested. With await it then waits until
// the end of the stream has left, if the peer may wait for it.
func (st *stream) leave(err error, tell func(), await bool) error {
	st.in.Lock() // until it is over: what the peer answers must not be why
	left, waits := st.leaveSendingLocked(err, tell, await)
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
	return st.awaitEndLocked()
}

// leaveSendingLocked is leave for the sending half. It reports whether the stream had not
// been left before, and whether the end of the stream is to be waited for, which the writer
// holds then. The receiving half is locked.
func (st *stream) leaveSendingLocked(err error, tell func(), await bool) (left, waits bool) {
	s := st.s
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if st.closed {
		return false, false
	}
	st.closed = true
	if s.streams[st.id] == st { // otherwise it was refused before it was accepted
		s.forgetLocked(st)
		s.LeftLocked(!s.opensLocally(st.id) && !st.vacated)
	}
	waits = await && !st.over && st.unanswered != 0
	if waits {
		s.writer.Hold()
	}
	if !st.over {
		tell()
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
		// The peer cannot find out by writing: it waits for credit.
		st.s.appendLocked(Frame{Flags: Stray, ID: st.id})
	}
}

// giveUpLocked tells the peer that this end neither reads nor writes any more, and
// that this is not how it should end. If both have ended all the same, there is
// nothing to be told.
func (st *stream) giveUpLocked() {
	st.s.departedLocked(st.id) // libraries need not say anything of it any more
	if !st.finSent || st.in.StateLocked() != recv.Finished {
		st.s.appendLocked(Frame{Flags: Reset, ID: st.id, Credit: st.creditLocked()})
	}
}

// abort ends both halves for the reason err, which did not come from the stream's user. The
// receiving one comes to the state as, unless it is beyond that.
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
