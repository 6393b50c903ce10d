// Package life is the life of a session: everything that multiplexers do alike, whatever
// their wire format. It opens and accepts streams, counts them, drains, closes, records
// why a session has ended, pings, and notices a peer that is gone.
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
// Open and Accept work while the session serves. If it ends without Close on this end,
// Accept still returns the streams that had arrived.
//
// The session's goroutines are the protocol's, and belong to WG. They end with the
// session; Close waits for them. Methods whose names end in Locked are called with Mu
// held.
type Session[S any] struct {
	Config mux.Config
	WG     sync.WaitGroup
	Pings  roundtrip.Meter

	name     string
	protocol Protocol[S]
	ctx      context.Context // cancelled with the cause by End, once
	cancel   context.CancelCauseFunc
	began    time.Time

	heard     atomic.Uint64 // signs of life so far
	lastHeard atomic.Int64  // when the last one arrived, in nanoseconds since began
	received  atomic.Uint64 // bytes

	Mu sync.Mutex // guards below, and whatever the protocol says

	state   State
	leaving bool  // Shutdown or Close was called
	err     error // why the session has ended
	verdict error // why it is about to end, whatever happens first

	opening   queue     // wakes Open
	accepting sync.Cond // wakes Accept
	drained   sync.Cond // wakes awaitDrained: inUse went down

	peerLeaves bool // the peer wants no more streams
	accepts    []S  // opened by the peer, waiting for Accept
	fromPeer   int  // streams that the peer opened and the user has not closed
	inUse      int  // streams opened or accepted here that the user has not closed
	unwanted   int  // streams that the peer opened although it may open none

	answered  chan struct{} // closed by the next answer to a ping; nil if nobody waits for it
	keepalive *keepalive.Keepalive
	reading   reading
}

// A State is a state of a session's life.
type State uint8

// The states of a [Session].
const (
	Serving State = iota
	Draining
	Closing
	Ended
)

// A Protocol is what differs between multiplexers.
//
// Open calls MayOpenLocked until it returns true, and then OpenLocked. Accept calls
// MayAcceptLocked until it returns true and a stream is there, and then AcceptedLocked.
// Shutdown calls LeaveLocked, and Refuse for each stream that nobody will accept; when no
// stream is in use it goes on as Close. Close calls LeaveLocked unless Shutdown has,
// Abort for each stream, and Farewell. However a session ends, it calls EndedLocked and
// then Cut last, once.
type Protocol[S any] interface {
	// MayOpenLocked reports whether the peer, and this end, have room for another stream.
	// The protocol calls WakeOpenLocked when that may have changed. An error fails Open.
	MayOpenLocked() (bool, error)

	// OpenLocked opens a stream. It may unlock Mu meanwhile, and must then fail with
	// NoMoreLocked if that is not nil. ctx is Open's.
	OpenLocked(ctx context.Context) (S, error)

	// MayAcceptLocked reports whether streams may be accepted. It is not called once the
	// session has ended. WakeAcceptLocked makes Accept call it again.
	MayAcceptLocked() bool

	// AcceptedLocked tells the peer that its stream has been accepted.
	AcceptedLocked(S)

	// PingLocked asks the peer for an answer. The protocol calls AnsweredLocked when it
	// comes.
	PingLocked()

	// AskLocked is PingLocked for the keepalive, which holds nothing but Mu and has
	// nothing else to do. It may unlock Mu meanwhile.
	AskLocked()

	// MustAnswerLocked reports whether a peer that reads must have answered by now. A
	// peer's library may not answer pings at all, unless it has before
	// ([Session.HasAnsweredLocked]).
	MustAnswerLocked() bool

	// StuckLocked is called before a ping of the keepalive. An error ends the session.
	StuckLocked() error

	// LeaveLocked tells the peer that this end wants no more streams.
	LeaveLocked()

	// Refuse gives up a stream that nobody has accepted, with err, and tells the peer.
	Refuse(st S, err error)

	// LiveLocked returns the streams that have not ended.
	LiveLocked() []S

	// Abort ends a stream with err, and throws away unread data. What was written before
	// is still sent.
	Abort(st S, err error)

	// Farewell tells the peer that the session is closed, and waits until the peer has
	// what was written, or the session has ended. live are the streams that Close has
	// aborted.
	Farewell(live []S)

	// WakeLocked wakes what waits in the protocol: the session begins to drain or to
	// close, or has ended.
	WakeLocked()

	// EndedLocked stops the protocol's timers.
	EndedLocked()

	// Cut closes the connection, and ends the streams with err. What had arrived on them
	// can still be read. The protocol chooses the order.
	Cut(live []S, err error)
}

// Init begins the life of a session. name is the protocol's, for error texts. Afterwards
// the protocol starts its goroutines, and the keepalive with [Session.KeepAlive].
func (s *Session[S]) Init(name string, protocol Protocol[S], config mux.Config) {
	s.name, s.protocol, s.Config = name, protocol, config.WithDefaults()
	for _, c := range []*sync.Cond{&s.accepting, &s.drained} {
		c.L = &s.Mu
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.began = time.Now()
}

// setLocked is the only function that changes the state. States only move forward: it
// returns false if the session is already in state to, or beyond it.
func (s *Session[S]) setLocked(to State) bool {
	if to <= s.state {
		return false
	}
	s.state, s.leaving = to, s.leaving || to != Ended
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

// ErrLocked returns why the session has ended, or nil.
func (s *Session[S]) ErrLocked() error { return s.err }

// UseErrLocked returns the error of calls that need a serving session, or nil.
func (s *Session[S]) UseErrLocked() error {
	switch s.state {
	case Ended:
		return s.err
	case Closing:
		return s.ClosedErr()
	}
	return nil
}

// ClosedErr is the error of calls after Close or Shutdown on this end.
func (s *Session[S]) ClosedErr() error { return closedError(s.name) }

// A closedError is the error of a session of the multiplexer that it names.
type closedError string

func (e closedError) Error() string { return string(e) + ": session: " + net.ErrClosed.Error() }
func (closedError) Unwrap() error   { return net.ErrClosed }

// Lost is the error of a session that ended in any other way. Carriers have no deadlines:
// a timeout inside one comes from its own watch for a peer that is gone, as in QUIC and
// TCP.
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

// linger waits until the peer has what was written, for at most d.
func (s *Session[S]) linger(live []S, d time.Duration) {
	if d <= 0 {
		return
	}
	// However long the connection waits, it is cut in time.
	late := time.AfterFunc(d, func() { s.End(s.ClosedErr()) })
	defer late.Stop()
	s.protocol.Farewell(live)
}

// End ends the session with err, unless it has ended already.
func (s *Session[S]) End(err error) {
	s.Mu.Lock()
	if s.verdict != nil {
		err = s.verdict
	}
	if s.state == Closing {
		err = s.ClosedErr() // whatever happened during Close
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

// Condemn makes err the reason of the session's end, whatever happens first.
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

// drain stops opening and accepting, and returns the streams that nobody will accept any
// more.
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
// returns false if ctx ends first.
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

// WakeAfter wakes c, whose lock is Mu, when ctx ends, unless stop is called before. A
// caller that checks ctx under the lock cannot miss it.
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
