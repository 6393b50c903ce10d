package qmux

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux/internal/recv"
)

// farewell is how long a session goes on that is about to end: for a peer that
// broke the protocol to take the message that says so, or for this end to read
// what has arrived on a carrier that cannot be written any more.
const farewell = time.Second

// Farewell lets everything leave that was written, says CONNECTION_CLOSE and, if the
// connection can say that nothing more follows, waits until the peer has taken everything
// and closes its end; only then is the connection closed, because closing one with unread
// input makes TCP throw away what is still on its way.
func (s protocol) Farewell(ctx context.Context, _ []*stream) {
	if s.flush(ctx) && s.sayGoodbye(ctx, &ConnectionError{Application: true}) {
		<-s.read
	}
}

// flush waits until all has been written that can be, and all that was kept for later.
// It reports whether that is so.
func (s *session) flush(ctx context.Context) bool {
	defer s.WakeAfter(ctx, &s.flushed)()
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for (s.writer.Busy() || s.unfinished > 0 || len(s.control.messages) > 0) && ctx.Err() == nil && s.ErrLocked() == nil && !s.writer.Muted() {
		s.flushed.Wait()
	}
	return ctx.Err() == nil && s.ErrLocked() == nil && !s.writer.Muted()
}

// sayGoodbye tells the peer why the session ends, and that nothing more follows. It
// reports whether the connection could say that, so that there is something to wait
// for.
func (s *session) sayGoodbye(ctx context.Context, e *ConnectionError) bool {
	s.Mu.Lock()
	s.control.goodbye = e
	s.flushLocked()
	written := s.awaitWriterLocked(ctx) && !s.writer.Muted()
	s.writer.Mute()
	s.Mu.Unlock()
	return written && s.closeWrite()
}

// awaitWriterLocked waits until the writer has nothing to do, and reports whether that
// is so before ctx ends.
func (s *session) awaitWriterLocked(ctx context.Context) bool {
	defer s.WakeAfter(ctx, &s.flushed)()
	for s.writer.Busy() && ctx.Err() == nil {
		s.flushed.Wait()
	}
	return !s.writer.Busy()
}

// closeWrite tells the peer that nothing more follows, and reports whether the
// connection can say that.
func (s *session) closeWrite() bool {
	c := powers.OfConn(s.conn.Conn).CloseWriter
	return c != nil && c.CloseWrite() == nil
}

// violation tells the peer that it broke the protocol, and ends the session. The
// reader calls it when it is done.
func (s *session) violation(e *ConnectionError) { s.reproach(e, s.records.drain) }

// reproach tells the peer what it did, and ends the session when the peer has ended what
// it sends, for which heardOut waits, but soon in any case.
func (s *session) reproach(e *ConnectionError, heardOut func()) {
	ctx, cancel := context.WithTimeout(s.Context(), farewell)
	defer cancel()
	late := context.AfterFunc(ctx, func() { s.End(s.lost(e)) })
	defer late()
	if s.sayGoodbye(ctx, e) {
		heardOut()
	}
	s.End(s.lost(e))
}

// answerEnd says that nothing more follows, to a peer that has, and waits until it ends
// what it sends. Then the session is to end with err, and it does if that takes long.
func (s *session) answerEnd(err error) {
	ctx, cancel := context.WithTimeout(s.Context(), farewell)
	defer cancel()
	late := context.AfterFunc(ctx, func() { s.End(err) })
	defer late()
	s.Mu.Lock()
	s.PeerLeavesLocked()
	s.writer.Mute() // but for what is being written
	written := s.awaitWriterLocked(ctx)
	s.Mu.Unlock()
	if written && s.closeWrite() {
		s.records.drain()
	}
}

// Cut closes the connection first, so that what has been read before its end still
// arrives.
func (s protocol) Cut(live []*stream, err error) {
	s.conn.Close()
	s.budget.Close()
	for _, st := range live {
		st.abort(recv.Failed, err)
	}
}

func (s protocol) Abort(st *stream, err error) { st.abort(recv.Discarding, err) }

func (s protocol) Refuse(st *stream, err error) {
	s.Mu.Lock()
	st.closed = true
	s.giveUpLocked(st, codeRefused)
	s.acceptedLocked(st)
	s.settleLocked(st)
	s.Mu.Unlock()
	st.abort(recv.Discarding, err)
}

func (s protocol) WakeLocked() {
	s.flushed.Broadcast()
	s.writer.Wake()
}

func (s protocol) EndedLocked() {
	s.greeting.Stop()
	s.watchdog.rest()
}

// LiveLocked returns the streams that are in use on either end.
func (s protocol) LiveLocked() []*stream {
	return slices.AppendSeq(slices.Clone(s.outgoing.unnamed), maps.Values(s.streams))
}
