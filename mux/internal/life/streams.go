package life

import (
	"context"
	"fmt"
	"slices"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
)

// Open opens a stream; see [mux.Session].
func (s *Session[S]) Open(ctx context.Context) (st S, err error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	room, err := s.mayOpenLocked(ctx)
	for ; !room && err == nil; room, err = s.mayOpenLocked(ctx) {
		s.opening.await(ctx, &s.Mu)
	}
	defer s.WakeOpenLocked() // wakes the next caller: there may be more room, or this one did not use it
	if err != nil {
		return st, err
	}
	return s.openLocked(ctx)
}

// mayOpenLocked reports whether a stream may be opened now. An error means that none can
// be any more.
func (s *Session[S]) mayOpenLocked(ctx context.Context) (bool, error) {
	if err := s.NoMoreLocked(); err != nil {
		return false, err
	}
	if ctx.Err() != nil {
		return false, s.OpenErr(ctxerr.Of(ctx))
	}
	return s.protocol.MayOpenLocked()
}

// NoMoreLocked returns why no more streams can be opened, or nil.
func (s *Session[S]) NoMoreLocked() error {
	switch {
	case s.state == Ended:
		return s.err
	case s.leaving:
		return s.ClosedErr()
	case s.peerLeaves:
		return s.OpenErr(mux.ErrGoAway)
	}
	return nil
}

// OpenErr is the error of an Open that failed with err.
func (s *Session[S]) OpenErr(err error) error { return fmt.Errorf("%s: open: %w", s.name, err) }

func (s *Session[S]) openLocked(ctx context.Context) (S, error) {
	st, err := s.protocol.OpenLocked(ctx)
	if err != nil {
		var none S
		return none, err
	}
	s.inUse++
	s.measureFirstLocked()
	return st, nil
}

// WakeOpenLocked wakes the Open that has waited longest, if there is room for another
// stream.
func (s *Session[S]) WakeOpenLocked() {
	if len(s.opening.waiting) == 0 {
		return
	}
	switch room, err := s.protocol.MayOpenLocked(); {
	case err != nil:
		s.opening.all()
	case room:
		s.opening.next()
	}
}

// WakeAcceptLocked makes Accept look again.
func (s *Session[S]) WakeAcceptLocked() { s.accepting.Broadcast() }

// PeerLeavesLocked notes that the peer wants no more streams, and reports whether that is
// news.
func (s *Session[S]) PeerLeavesLocked() bool {
	news := !s.peerLeaves
	s.peerLeaves = true
	s.opening.all()
	return news
}

// Accept accepts a stream; see [mux.Session]. If the peer or the carrier ended the
// session, it still returns the streams that had arrived: what was sent on them may be
// complete.
func (s *Session[S]) Accept(ctx context.Context) (st S, err error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for waiting := false; ; {
		there, err := s.mayAcceptLocked(ctx)
		switch {
		case err != nil:
			return st, err
		case there:
			return s.acceptLocked(), nil
		case !waiting:
			waiting = true
			defer s.WakeAfter(ctx, &s.accepting)()
		default:
			s.accepting.Wait()
		}
	}
}

// mayAcceptLocked reports whether there is a stream to accept. An error means that there
// will be none.
func (s *Session[S]) mayAcceptLocked(ctx context.Context) (bool, error) {
	switch {
	case s.leaving:
		return false, s.ClosedErr()
	case ctx.Err() != nil:
		return false, fmt.Errorf("%s: accept: %w", s.name, ctxerr.Of(ctx))
	case s.state == Serving && !s.protocol.MayAcceptLocked():
		return false, nil
	case len(s.accepts) > 0:
		return true, nil
	}
	return false, s.err
}

func (s *Session[S]) acceptLocked() S {
	st := s.accepts[0]
	s.accepts = slices.Delete(s.accepts, 0, 1)
	s.inUse++
	s.protocol.AcceptedLocked(st)
	s.measureFirstLocked()
	return st
}

// MaxUnwanted is how many streams a peer that may open none can try to open before it
// loses the session.
const MaxUnwanted = 100

// AdmitLocked reports whether the peer may open a stream; if not, the protocol refuses
// it. An error means that the peer keeps trying although it may open none.
func (s *Session[S]) AdmitLocked() (bool, error) {
	if s.Config.MaxStreams < 0 {
		if s.unwanted++; s.unwanted > MaxUnwanted {
			return false, fmt.Errorf("%w: peer has opened %d streams and may not open any", mux.ErrProtocol, s.unwanted)
		}
		return false, nil
	}
	return s.state == Serving && s.fromPeer < s.Config.MaxStreams && len(s.accepts) < s.Config.AcceptBacklog, nil
}

// ArrivedLocked adds a stream that the peer has opened and AdmitLocked has admitted.
func (s *Session[S]) ArrivedLocked(st S) {
	s.fromPeer++
	s.accepts = append(s.accepts, st)
	s.accepting.Broadcast()
}

// VacatedLocked notes that an accepted stream of the peer makes room for another.
func (s *Session[S]) VacatedLocked() { s.fromPeer-- }

// ClosedLocked notes that the user has closed a stream. takesPlace says that the peer
// opened it, and that it was not vacated before.
func (s *Session[S]) ClosedLocked(takesPlace bool) {
	if takesPlace {
		s.VacatedLocked()
	}
	s.inUse--
	s.drained.Broadcast()
}

// Streams implements [mux.Session].
func (s *Session[S]) Streams() int {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.inUse
}

// Stream turns the results of Session.Open and Session.Accept into those of
// [mux.Session].
func Stream[S mux.Stream](st S, err error) (mux.Stream, error) {
	if err != nil {
		return nil, err
	}
	return st, nil
}

// FromPeerLocked returns how many of the peer's streams the user has not closed, and how
// many of them wait for Accept.
func (s *Session[S]) FromPeerLocked() (open, waiting int) { return s.fromPeer, len(s.accepts) }
