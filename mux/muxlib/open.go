package muxlib

import (
	"context"
	"net"
	"slices"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux/internal/life"
)

// opens are the calls of Open that wait for the library. A call that its caller has given
// up serves the next caller, so no more calls are under way than callers have waited at a
// time.
type opens struct {
	waiting []*opening    // first come, first served
	calls   int           // of the library's Open, under way
	total   int64         // streams opened
	over    chan struct{} // closed when no more streams can be opened
}

type opening struct {
	done chan struct{} // closed when the fields below are set
	st   *stream
	err  error
}

// MayOpenLocked counts the streams that the peer has not accepted, if the library does
// not.
func (s protocol) MayOpenLocked() (bool, error) {
	inner, ok := s.inner.(framed)
	if !ok || s.library.Backlog || s.opens.calls > len(s.opens.waiting) {
		return true, nil
	}
	return s.opens.calls+inner.frames().streams.unaccepted() < s.Config.AcceptBacklog, nil
}

// OpenLocked implements [life.Protocol].
func (s protocol) OpenLocked(ctx context.Context) (*stream, error) {
	o := &opening{done: make(chan struct{})}
	s.opens.waiting = append(s.opens.waiting, o)
	if s.opens.calls < len(s.opens.waiting) {
		s.opens.calls++
		s.WG.Go(s.open)
	}
	s.Mu.Unlock()
	select {
	case <-o.done:
	case <-ctx.Done():
	case <-s.opens.over:
	}
	s.Mu.Lock()
	return s.openedLocked(ctx, o)
}

// overLocked notes that no more streams can be opened.
func (o *opens) overLocked() {
	select {
	case <-o.over:
	default:
		close(o.over)
	}
}

// openedLocked returns the result of o.
func (s *session) openedLocked(ctx context.Context, o *opening) (*stream, error) {
	if i := slices.Index(s.opens.waiting, o); i >= 0 {
		s.opens.waiting = slices.Delete(s.opens.waiting, i, i+1)
		if err := s.NoMoreLocked(); err != nil {
			return nil, err
		}
		return nil, s.OpenErr(ctxerr.Of(ctx))
	}
	return o.st, o.err
}

// open makes the library open a stream for the caller that has waited longest.
func (s *session) open() {
	inner, err := s.inner.Open()
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.opens.calls--
	s.WakeOpenLocked()
	if len(s.opens.waiting) == 0 {
		if err == nil {
			s.goLocked(func() { giveUp(inner) })
		}
		return
	}
	o := s.opens.waiting[0]
	s.opens.waiting = slices.Delete(s.opens.waiting, 0, 1)
	o.st, o.err = s.openLocked(inner, err)
	close(o.done)
}

func (s *session) openLocked(inner net.Conn, err error) (*stream, error) {
	switch {
	case s.StateLocked() == life.Ended:
		return nil, s.ErrLocked()
	case err != nil && s.end.closed.Load():
		return nil, s.Lost(s.meaning(err))
	case err != nil:
		return nil, s.OpenErr(s.meaning(err))
	case s.StateLocked() != life.Serving:
		s.goLocked(func() { giveUp(inner) })
		return nil, s.ClosedErr()
	}
	st := newStream(s, inner, false)
	s.streams[st] = struct{}{}
	s.countLocked()
	return st, nil
}

// reserve is how many streams can still be opened when OnExhausting is called.
const reserve = 1 << 20

// countLocked counts a stream that this end has opened.
func (s *session) countLocked() {
	s.opens.total++
	if s.opens.total == s.library.Streams-reserve && s.Config.OnExhausting != nil {
		s.WG.Go(s.Config.OnExhausting)
	}
}
