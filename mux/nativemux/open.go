package nativemux

import (
	"context"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
)

// MayOpenLocked reports whether the peer has room for another stream. A peer without a
// control stream never says what it has accepted.
func (s protocol) MayOpenLocked() (bool, error) {
	switch {
	case s.deafLocked(), s.opened-s.control.taken < uint64(s.Config.AcceptBacklog):
		return true, nil
	case !s.listenSide && !s.control.heard && s.patient == nil:
		s.patient = time.AfterFunc(helloWait-time.Since(s.started), s.wakeOpen)
	}
	return false, nil
}

func (s *session) wakeOpen() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.WakeOpenLocked()
}

// OpenLocked makes the carrier open a stream, which waits while the peer allows no more.
func (s protocol) OpenLocked(ctx context.Context) (*stream, error) {
	s.opened++
	cs, err := s.openCarrierLocked(ctx)
	switch gone := s.NoMoreLocked(); {
	case gone != nil:
		err = gone
	case err != nil && ctx.Err() != nil:
		err = s.OpenErr(ctxerr.Of(ctx))
	case err != nil:
		err = s.lostLocked(err)
	}
	if cs == nil {
		s.opened--
		s.WakeOpenLocked()
		return nil, err
	}
	s.announced++ // the peer counts it even if this Open fails
	out := s.countStreamLocked(cs.ID())
	if err != nil {
		s.endedLocked(cs.ID(), 0)
		reset(cs, codeRefused)
		return nil, err
	}
	st := newStream(s.session, cs, out)
	s.streams[cs.ID()] = st
	s.watch.look(s.session)
	return st, nil
}

// openCarrierLocked opens a stream of the carrier, without the lock.
func (s *session) openCarrierLocked(ctx context.Context) (carrier.Stream, error) {
	s.Mu.Unlock()
	defer s.Mu.Lock()
	ctx, done := s.whileOpen(ctx)
	defer done()
	return s.conn.OpenStream(ctx)
}

// whileOpen returns a context that ends with ctx, and when no stream can be opened any
// more.
func (s *session) whileOpen(ctx context.Context) (context.Context, func()) {
	if ctx.Done() == nil {
		return s.opens, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.opens, cancel)
	return ctx, func() { stop(); cancel() }
}
