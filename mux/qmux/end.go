package qmux

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
)

// The end of a session comes in one of two ways. Close lets everything leave that was
// written, says CONNECTION_CLOSE and, if the connection can say that nothing more
// follows, waits until the peer has taken everything and closes its end; only then
// does it close the connection, because closing one with unread input makes TCP throw
// away what is still on its way. A violation ends alike. Everything else, a lost
// carrier for instance, goes straight to end.

// farewell is how long a session goes on that is about to end: for a peer that
// broke the protocol to take the message that says so, or for this end to read
// what has arrived on a carrier that cannot be written any more.
const farewell = time.Second

// Close implements [mux.Session].
func (s *session) Close() error {
	s.close(s.config.Linger)
	return nil
}

func (s *session) close(linger time.Duration) {
	s.mu.Lock()
	first := !s.closing && s.err == nil
	if first {
		s.closing = true
		s.wakeLocked()
		s.control.leaving = true // before it hears that streams have come to nothing
		s.flushLocked()
	}
	live := s.liveLocked()
	s.mu.Unlock()
	if first {
		for _, st := range live {
			st.abort(errSessionClosed, true)
		}
		s.linger(linger)
		s.end(errSessionClosed)
	}
	<-s.ctx.Done()
	s.wg.Wait()
}

// linger waits for d at most until the peer has what was written.
func (s *session) linger(d time.Duration) {
	if d <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	// Whatever the connection waits for, it is cut in time.
	stop := context.AfterFunc(ctx, func() { s.end(errSessionClosed) })
	defer stop()
	if s.flush(ctx) && s.sayGoodbye(ctx, &ConnectionError{Application: true}) {
		<-s.read
	}
}

// flush waits until all has been written that can be, and all that was kept for later.
// It reports whether that is so.
func (s *session) flush(ctx context.Context) bool {
	defer s.wakeAfter(ctx, &s.flushed)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for (s.writer.Busy() || s.unfinished > 0 || len(s.control.messages) > 0) && ctx.Err() == nil && s.err == nil && !s.writer.Muted() {
		s.flushed.Wait()
	}
	return ctx.Err() == nil && s.err == nil && !s.writer.Muted()
}

// sayGoodbye tells the peer why the session ends, and that nothing more follows. It
// reports whether the connection could say that, so that there is something to wait
// for.
func (s *session) sayGoodbye(ctx context.Context, e *ConnectionError) bool {
	s.mu.Lock()
	s.control.goodbye = e
	s.flushLocked()
	written := s.awaitWriterLocked(ctx) && !s.writer.Muted()
	s.writer.Mute()
	s.mu.Unlock()
	return written && s.closeWrite()
}

// awaitWriterLocked waits until the writer has nothing to do, and reports whether that
// is so before ctx ends.
func (s *session) awaitWriterLocked(ctx context.Context) bool {
	defer s.wakeAfter(ctx, &s.flushed)()
	for s.writer.Busy() && ctx.Err() == nil {
		s.flushed.Wait()
	}
	return !s.writer.Busy()
}

// closeWrite tells the peer that nothing more follows, and reports whether the
// connection can say that.
func (s *session) closeWrite() bool {
	c, ok := s.conn.Conn.(carrier.CloseWriter)
	return ok && c.CloseWrite() == nil
}

// violation tells the peer that it broke the protocol, and ends the session. The
// reader calls it when it is done.
func (s *session) violation(e *ConnectionError) { s.reproach(e, s.records.drain) }

// reproach tells the peer what it did, and ends the session when the peer has ended what
// it sends, for which heardOut waits, but soon in any case.
func (s *session) reproach(e *ConnectionError, heardOut func()) {
	ctx, cancel := context.WithTimeout(s.ctx, farewell)
	defer cancel()
	late := context.AfterFunc(ctx, func() { s.end(lost(e)) })
	defer late()
	if s.sayGoodbye(ctx, e) {
		heardOut()
	}
	s.end(lost(e))
}

// answerEnd says that nothing more follows, to a peer that has, and waits until it ends
// what it sends. Then the session is to end with err, and it does if that takes long.
func (s *session) answerEnd(err error) {
	ctx, cancel := context.WithTimeout(s.ctx, farewell)
	defer cancel()
	late := context.AfterFunc(ctx, func() { s.end(err) })
	defer late()
	s.mu.Lock()
	if s.peer != nil {
		s.peer.leaving = true
		s.opening.Broadcast()
	}
	s.writer.Mute() // but for what is being written
	written := s.awaitWriterLocked(ctx)
	s.mu.Unlock()
	if written && s.closeWrite() {
		s.records.drain()
	}
}

// end ends the session for the reason err, unless it is over already.
func (s *session) end(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if s.verdict != nil {
		err = s.verdict
	}
	if s.closing {
		err = errSessionClosed // whatever happened while Close was under way
	}
	s.err = err
	s.wakeLocked()
	live, keepalive := s.liveLocked(), s.keepalive
	s.greeting.Stop()
	s.watchdog.rest()
	s.mu.Unlock()
	keepalive.Stop()
	s.conn.Close()
	for _, st := range live {
		st.abort(err, false)
	}
	s.cancel(err)
}

func (s *session) wakeLocked() {
	s.opening.Broadcast()
	s.accepting.Broadcast()
	s.drained.Broadcast()
	s.flushed.Broadcast()
	s.writer.Wake()
}

func (s *session) live() []*Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.liveLocked()
}

// liveLocked returns the streams that are in use on either end.
func (s *session) liveLocked() []*Stream {
	return slices.AppendSeq(slices.Clone(s.outgoing.unnamed), maps.Values(s.streams))
}

// Shutdown implements [mux.Session].
func (s *session) Shutdown(ctx context.Context) error {
	s.drain()
	defer s.wakeAfter(ctx, &s.drained)()
	s.mu.Lock()
	for s.inUse > 0 && s.err == nil && !s.closing && ctx.Err() == nil {
		s.drained.Wait()
	}
	cut := s.inUse > 0 && ctx.Err() != nil
	s.mu.Unlock()
	if cut {
		s.close(0)
		return ctxerr.Of(ctx)
	}
	return s.Close()
}

// drain ends opening and accepting, and refuses the streams that nobody will accept
// any more.
func (s *session) drain() {
	s.mu.Lock()
	if s.draining || s.closing || s.err != nil {
		s.mu.Unlock()
		return
	}
	s.draining = true
	s.wakeLocked()
	s.control.leaving = true
	s.flushLocked()
	refused := s.incoming.accepts
	s.incoming.accepts = nil
	for _, st := range refused {
		st.closed = true
		s.incoming.open--
		s.giveUpLocked(st, codeRefused)
		s.acceptedLocked(st)
		s.settleLocked(st)
	}
	s.mu.Unlock()
	for _, st := range refused {
		st.abort(errSessionClosed, true)
	}
}
