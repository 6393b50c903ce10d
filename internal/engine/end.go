package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
)

// The end of a session comes in one of two ways. Close lets the queue empty
// and, if the connection can say that nothing more follows, waits until the
// peer has taken everything and closes its end; only then does it close the
// connection, because closing one with unread input makes TCP throw away what
// is still on its way. Everything else, a lost carrier or a peer that breaks
// the protocol, goes straight to end.

// Close implements [mux.Session].
func (s *Session) Close() error {
	s.close(s.config.Linger)
	return nil
}

func (s *Session) close(linger time.Duration) {
	s.mu.Lock()
	first := !s.closing && s.err == nil
	if first {
		s.closing = true
		s.wakeLocked()
		s.appendLocked(Frame{Kind: GoAway, Value: goAwayNormal})
	}
	live := s.liveLocked()
	s.mu.Unlock()
	if first {
		for _, st := range live {
			st.abort(s.closedErr(), true)
		}
		s.linger(linger)
		s.end(s.closedErr())
	}
	<-s.ctx.Done()
	s.wg.Wait()
}

// linger waits for d at most until the peer has what is in the queue.
func (s *Session) linger(d time.Duration) {
	if d <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	// Whatever the connection waits for, it is cut in time.
	stop := context.AfterFunc(ctx, func() { s.end(s.closedErr()) })
	defer stop()
	if s.seal(ctx) && s.closeWrite() {
		<-s.read
	}
}

// closeWrite tells the peer that nothing more follows, and reports whether the
// connection can say that. The session is sealed.
func (s *Session) closeWrite() bool {
	c, ok := s.conn.(carrier.CloseWriter)
	return ok && c.CloseWrite() == nil
}

// seal waits until all that is queued has been written, and lets nothing more
// be queued. It reports whether all was written before ctx ended.
func (s *Session) seal(ctx context.Context) bool {
	defer s.wakeAfter(ctx, &s.flushed)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writer.Busy() && ctx.Err() == nil {
		s.flushed.Wait()
	}
	written := !s.writer.Busy() && !s.writer.Muted()
	s.writer.Mute()
	s.taken.Broadcast()
	return written
}

// end ends the session for the reason err, unless it is over already.
func (s *Session) end(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if s.closing {
		err = s.closedErr() // whatever happened while Close was under way
	}
	s.err = err
	s.wakeLocked()
	live, keepalive := s.liveLocked(), s.keepalive
	s.mu.Unlock()
	keepalive.Stop()
	s.conn.Close()
	for _, st := range live {
		st.abort(err, false)
	}
	s.cancel(err)
}

func (s *Session) wakeLocked() {
	s.opening.Broadcast()
	s.accepting.Broadcast()
	s.drained.Broadcast()
	s.taken.Broadcast()
	s.writer.Wake()
}

func (s *Session) live() []*Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.liveLocked()
}

func (s *Session) liveLocked() []*Stream {
	return slices.Collect(maps.Values(s.streams))
}

// Shutdown implements [mux.Session].
func (s *Session) Shutdown(ctx context.Context) error {
	for _, st := range s.drain() {
		st.refuse(s.closedErr())
	}
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

// drain ends opening and accepting, and returns the streams that nobody will
// accept any more.
func (s *Session) drain() (refused []*Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || s.closing || s.err != nil {
		return nil
	}
	s.draining = true
	s.wakeLocked()
	s.appendLocked(Frame{Kind: GoAway, Value: goAwayNormal})
	refused, s.accepts = s.accepts, nil
	for _, st := range refused {
		s.forgetLocked(st)
	}
	return refused
}

// violation tells the peer that it broke the protocol and ends the session.
func (s *Session) violation(err error) {
	s.mu.Lock()
	if s.err == nil && !s.closing {
		s.appendLocked(Frame{Kind: GoAway, Value: goAwayProtocol})
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, farewell)
	defer cancel()
	s.seal(ctx)
	s.end(s.lost(err))
}

// farewell is how long a session goes on that is about to end: for a peer that
// broke the protocol to take the message that says so, or for this end to read
// what has arrived on a carrier that cannot be written any more.
const farewell = time.Second
