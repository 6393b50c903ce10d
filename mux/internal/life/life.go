// Package life is the life of a session: what multiplexers do alike, whatever they say on
// the wire. It opens and accepts streams, counts them, drains, closes, tells why a session
// has ended, pings, and notices a peer that is gone.
package life

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/keepalive"
	"github.com/backdial/backdial/mux/internal/roundtrip"
)

// A Session is the life of a session whose streams are S. A protocol's session embeds it.
//
//	      ┌─────────┐  Shutdown  ┌──────────┐  no stream is in use,
//	──────► serving ├───────────►│ draining │  or ctx has ended
//	      └──┬──┬───┘            └─┬──┬─────┘
//	         │  │ Close            │  │        ┌─────────┐  the peer has everything,
//	         │  └──────────────────┼──┴───────►│ closing │  or Linger has passed
//	         │                     │           └────┬────┘
//	         │ the carrier failed, │                │
//	         │ the peer closed it, │                ▼
//	         │ is silent or hostile│            ┌───────┐
//	         └─────────────────────┴───────────►│ ended │
//	                                            └───────┘
//
// Open and Accept work while it serves, and Accept goes on with what had arrived when a
// session ends that this end has not closed.
//
// The session's goroutines are the protocol's, in WG. They end with the session; Close
// waits for them. Methods whose names end in Locked are called with Mu held.
type Session[S any] struct {
	Config mux.Config
	WG     sync.WaitGroup
	Pings  roundtrip.Meter

	name     string
	protocol Protocol[S]
	ctx      context.Context // cancelled with the cause by End, once
	cancel   context.CancelCauseFunc
	heard    atomic.Uint64 // how many signs of life there were
	received atomic.Uint64 // bytes

	Mu sync.Mutex // guards below, and what the protocol says it does

	state   State
	left    bool  // Shutdown or Close was called
	err     error // why the session has ended
	verdict error // why it is about to, whatever happens first

	opening   queue     // Open may go on
	accepting sync.Cond // Accept may go on
	drained   sync.Cond // inUse went down

	peerLeaves bool // the peer wants no more streams
	accepts    []S  // opened by the peer, to be accepted
	fromPeer   int  // streams that the peer opened, and their user has not closed
	inUse      int  // streams that were opened or accepted here, and their user has not closed
	unwanted   int  // streams that the peer opened although it may open none

	answered  chan struct{} // closed by the next answer to a ping; nil if nobody waits for it
	keepalive *keepalive.Keepalive
	reading   reading
}

// A State is where a session is in its life.
type State uint8

// The states of a [Session].
const (
	Serving State = iota
	Draining
	Closing
	Ended
)

// A Protocol is what sessions do differently.
//
// Open calls MayOpenLocked until that is true, and then OpenLocked. Accept calls
// MayAcceptLocked until that is true and a stream is there, and then AcceptedLocked.
// Shutdown calls LeaveLocked, and Refuse for each stream that nobody will accept; when no
// stream is in use it goes on as Close. Close calls LeaveLocked unless Shutdown has, Abort
// for each stream, and Farewell. However a session ends, EndedLocked and then Cut are called
// last, once.
type Protocol[S any] interface {
	// MayOpenLocked reports whether the peer, and this end, have room for another stream.
	// WakeOpenLocked is to be called when that may have changed. An error fails Open.
	MayOpenLocked() (bool, error)

	// OpenLocked opens a stream. It may unlock Mu meanwhile, and must then fail with
	// NoMoreLocked if that is not nil; ctx is Open's.
	OpenLocked(ctx context.Context) (S, error)

	// MayAcceptLocked reports whether streams may be accepted. It is not asked when the
	// session has ended. WakeAcceptLocked has Accept call it again.
	MayAcceptLocked() bool

	// AcceptedLocked tells the peer that a stream of its has been accepted.
	AcceptedLocked(S)

	// PingLocked asks the peer for an answer, of which Answered is to be told.
	PingLocked()

	// MustAnswerLocked reports whether a peer that reads must have answered by now. That of
	// a library may answer no pings, unless it has before ([Session.HasAnsweredLocked]).
	MustAnswerLocked() bool

	// StuckLocked is asked before a ping of the keepalive. An error ends the session.
	StuckLocked() error

	// LeaveLocked tells the peer that this end wants no more streams.
	LeaveLocked()

	// Refuse gives up a stream that nobody has accepted, for the reason err, and tells the
	// peer.
	Refuse(st S, err error)

	// LiveLocked returns the streams that have not come to their end.
	LiveLocked() []S

	// Abort ends a stream for the reason err, and throws away what was not read. What was
	// written before still leaves.
	Abort(st S, err error)

	// Farewell tells the peer that the session is closed, and waits until it has what was
	// written, or ctx ends, which also ends the session. live are the streams that Close
	// has aborted.
	Farewell(ctx context.Context, live []S)

	// WakeLocked wakes what waits in the protocol: the session begins to drain, to close or
	// has ended.
	WakeLocked()

	// EndedLocked stops the protocol's timers.
	EndedLocked()

	// Cut closes the connection, and ends the streams for the reason err. What had arrived
	// on them can still be read. The order is the protocol's.
	Cut(live []S, err error)
}

// Init begins the life of a session. name is that of the protocol, for error texts. The
// protocol starts its goroutines afterwards, and the keepalive by [Session.KeepAlive].
func (s *Session[S]) Init(name string, protocol Protocol[S], config mux.Config) {
	s.name, s.protocol, s.Config = name, protocol, config.WithDefaults()
	for _, c := range []*sync.Cond{&s.accepting, &s.drained} {
		c.L = &s.Mu
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
}

// set is the only one that changes the state. States only follow each other in their
// order; it reports false if the session is in this state, or beyond it, already.
func (s *Session[S]) setLocked(to State) bool {
	if to <= s.state {
		return false
	}
	s.state, s.left = to, s.left || to != Ended
	s.opening.all()
	s.accepting.Broadcast()
	s.drained.Broadcast()
	s.protocol.WakeLocked()
	return true
}

// Context implements [mux.Session].
func (s *Session[S]) Context() context.Context { return s.ctx }

// StateLocked returns the state.
func (s *Session[S]) StateLocked() State { return s.state }

// ErrLocked is why the session has ended, or nil.
func (s *Session[S]) ErrLocked() error { return s.err }

// UseErrLocked is the error of what needs a session that goes on, or nil.
func (s *Session[S]) UseErrLocked() error {
	switch s.state {
	case Ended:
		return s.err
	case Closing:
		return s.ClosedErr()
	}
	return nil
}

// ClosedErr is the error of what is used after Close or Shutdown on this end.
func (s *Session[S]) ClosedErr() error { return fmt.Errorf("%s: session: %w", s.name, net.ErrClosed) }

// Lost is the error of a session that ended otherwise. A carrier has no deadlines: what times
// out in it is its own watch for a peer that is gone, as of QUIC and TCP.
func (s *Session[S]) Lost(cause error) error {
	if timeout, ok := errors.AsType[net.Error](cause); ok && timeout.Timeout() && !errors.Is(cause, mux.ErrSilent) {
		cause = fmt.Errorf("%w: %w", mux.ErrSilent, cause)
	}
	return fmt.Errorf("%s: %w: %w", s.name, mux.ErrSessionEnded, cause)
}

// Close implements [mux.Session].
func (s *Session[S]) Close() error {
	s.close(s.Config.Linger)
	return nil
}

func (s *Session[S]) close(linger time.Duration) {
	s.Mu.Lock()
	drains := s.state == Draining
	first := s.state < Closing && s.setLocked(Closing)
	if first && !drains {
		s.protocol.LeaveLocked()
	}
	live := s.protocol.LiveLocked()
	s.Mu.Unlock()
	if first {
		for _, st := range live {
			s.protocol.Abort(st, s.ClosedErr())
		}
		s.linger(live, linger)
		s.End(s.ClosedErr())
	}
	<-s.ctx.Done()
	s.WG.Wait()
}

// linger waits for d at most until the peer has what was written.
func (s *Session[S]) linger(live []S, d time.Duration) {
	if d <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	// Whatever the connection waits for, it is cut in time.
	stop := context.AfterFunc(ctx, func() { s.End(s.ClosedErr()) })
	defer stop()
	s.protocol.Farewell(ctx, live)
}

// End ends the session for the reason err, unless it is over already.
func (s *Session[S]) End(err error) {
	s.Mu.Lock()
	if s.verdict != nil {
		err = s.verdict
	}
	if s.state == Closing {
		err = s.ClosedErr() // whatever happened while Close was under way
	}
	if s.err == nil {
		s.err = err
	}
	if !s.setLocked(Ended) {
		s.Mu.Unlock()
		return
	}
	s.protocol.EndedLocked()
	live, keepalive := s.protocol.LiveLocked(), s.keepalive
	s.Mu.Unlock()
	keepalive.Stop()
	s.protocol.Cut(live, err)
	s.cancel(err)
}

// Condemn has the session end for the reason err, whatever happens first.
func (s *Session[S]) Condemn(err error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.verdict = err
}

// Shutdown implements [mux.Session].
func (s *Session[S]) Shutdown(ctx context.Context) error {
	for _, st := range s.drain() {
		s.protocol.Refuse(st, s.ClosedErr())
	}
	if !s.awaitDrained(ctx) {
		s.close(0)
		return ctxerr.Of(ctx)
	}
	return s.Close()
}

// drain ends opening and accepting, and returns the streams that nobody will
// accept any more.
func (s *Session[S]) drain() (refused []S) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if !s.setLocked(Draining) {
		return nil
	}
	s.protocol.LeaveLocked()
	refused, s.accepts = s.accepts, nil
	s.fromPeer -= len(refused)
	return refused
}

// awaitDrained waits until no stream is in use, or the session is closed or ends. It
// reports false if ctx ends first.
func (s *Session[S]) awaitDrained(ctx context.Context) bool {
	defer s.WakeAfter(ctx, &s.drained)()
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for s.inUse > 0 && s.state == Draining {
		if ctx.Err() != nil {
			return false
		}
		s.drained.Wait()
	}
	return true
}

// WakeAfter has c, whose lock is Mu, woken when ctx ends, unless stop is called before. A
// caller that looks at ctx with the lock held cannot miss it.
func (s *Session[S]) WakeAfter(ctx context.Context, c *sync.Cond) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	return context.AfterFunc(ctx, func() {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		c.Broadcast()
	})
}
