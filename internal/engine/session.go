package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/keepalive"
	"github.com/backdial/backdial/internal/window"
	"github.com/backdial/backdial/internal/writeloop"
	"github.com/backdial/backdial/mux"
)

// A Side is one of the two ends of a session. Its value is the first stream
// id that it opens; the others follow in steps of two.
type Side uint32

// The sides, for protocols in which the end called client opens odd streams.
const (
	DialSide   Side = 1
	ListenSide Side = 2
)

// A Session implements [mux.Session]. Its goroutines are a reader, which lives
// as long as the session, and a writer, which lives while there is something
// to write and a little longer. Both end with the session, however it ends;
// Close waits for them.
type Session struct {
	wire   Wire
	conn   net.Conn
	config mux.Config
	side   Side

	ctx     context.Context // cancelled with the cause by end, once
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup // the reader and the writer
	read    chan struct{}  // closed when the reader is done
	heard   atomic.Uint64  // how many signs of life there were
	windows window.Pool

	pings pinger

	mu         sync.Mutex // guards below, and the sending half of streams
	err        error      // why the session is over
	closing    bool       // Close was called
	keepalive  *keepalive.Keepalive
	draining   bool               // Shutdown was called
	peerLeaves bool               // the peer wants no more streams
	streams    map[uint32]*Stream // those that their user has not closed
	nextID     uint32             // of the next stream opened here
	unaccepted int                // streams opened here that the peer has not accepted
	fromPeer   int                // streams in the map that the peer opened
	inUse      int                // streams in the map without those in accepts
	accepts    []*Stream          // opened by the peer, to be accepted
	unwanted   int                // streams that the peer opened although it may open none

	opening   sync.Cond // Open may go on
	accepting sync.Cond // Accept may go on
	drained   sync.Cond // inUse went down
	flushed   sync.Cond // the queue is written
	taken     sync.Cond // the writer has taken the queue

	writer  writeloop.Loop
	queue   *queue                   // frames to be written; nil for none
	waiting writeloop.Turns[*Stream] // who wait for room in the queue
	replies int                      // frames in the queue that the peer provoked
	strays  map[uint32]struct{}      // streams with a Stray in the queue
}

var _ mux.Session = (*Session)(nil)

// New starts a session on conn, which it owns from then on.
func New(wire Wire, conn net.Conn, side Side, config mux.Config) *Session {
	s := &Session{
		wire:    wire,
		conn:    conn,
		config:  config.WithDefaults(),
		side:    side,
		read:    make(chan struct{}),
		streams: make(map[uint32]*Stream),
		nextID:  uint32(side),
	}
	for _, c := range []*sync.Cond{&s.opening, &s.accepting, &s.drained, &s.flushed, &s.taken} {
		c.L = &s.mu
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.windows.Init(&s.config)
	s.writer.Init(written{s}, &s.mu, &s.wg, conn)
	s.mu.Lock()
	s.keepalive = keepalive.Start(s.config, kept{s})
	s.mu.Unlock()
	s.wg.Go(s.readLoop)
	return s
}

// Context implements [mux.Session].
func (s *Session) Context() context.Context { return s.ctx }

// Open implements [mux.Session].
func (s *Session) Open(ctx context.Context) (mux.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for waiting := false; ; {
		if err := s.openErrLocked(); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: open: %w", s.wire.Name(), ctxerr.Of(ctx))
		}
		switch {
		case s.unaccepted < s.config.AcceptBacklog && s.queuedLocked() < maxQueue:
			return s.openLocked(), nil
		case !waiting: // that costs something, and is rare
			waiting = true
			defer s.wakeAfter(ctx, &s.opening)()
		default:
			s.opening.Wait()
		}
	}
}

// wakeAfter has c, whose lock is s.mu, woken when ctx ends, unless stop is
// called before. Who looks at ctx with the lock held cannot miss it.
func (s *Session) wakeAfter(ctx context.Context, c *sync.Cond) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	return context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.Broadcast()
	})
}

func (s *Session) openErrLocked() error {
	switch {
	case s.err != nil:
		return s.err
	case s.closing, s.draining:
		return s.closedErr()
	case s.peerLeaves:
		return fmt.Errorf("%s: open: %w", s.wire.Name(), mux.ErrGoAway)
	case s.nextID > math.MaxUint32-2:
		return fmt.Errorf("%s: open: the session has used up its stream ids", s.wire.Name())
	}
	return nil
}

func (s *Session) openLocked() *Stream {
	st := newStream(s, s.nextID)
	s.nextID += 2
	s.streams[st.id] = st
	s.unaccepted++
	s.inUse++
	s.appendLocked(Frame{Flags: Open, ID: st.id, Credit: s.firstCredit()})
	s.measureFirstLocked()
	return st
}

// firstCredit raises the peer's credit on a new stream from what the protocol
// says to what this end is configured to allow.
func (s *Session) firstCredit() Credit {
	return Credit{Grant: uint32(s.config.Window - initialWindow), Window: uint32(s.config.Window)}
}

// Streams implements [mux.Session].
func (s *Session) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inUse
}

// Accept implements [mux.Session]. Streams that had arrived when the session
// ended by the peer's doing are still accepted: what was sent on them may be
// complete.
func (s *Session) Accept(ctx context.Context) (mux.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for waiting := false; ; {
		switch {
		case s.closing, s.draining:
			return nil, s.closedErr()
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%s: accept: %w", s.wire.Name(), ctxerr.Of(ctx))
		case s.err == nil && s.queuedLocked() >= maxQueue:
			// The peer does not read. Nor does it get more to read.
		case len(s.accepts) > 0:
			st := s.accepts[0]
			s.accepts = slices.Delete(s.accepts, 0, 1)
			s.inUse++
			s.appendLocked(Frame{Flags: Ack, ID: st.id, Credit: s.firstCredit()})
			s.measureFirstLocked()
			return st, nil
		case s.err != nil:
			return nil, s.err
		}
		if !waiting {
			waiting = true
			defer s.wakeAfter(ctx, &s.accepting)()
			continue
		}
		s.accepting.Wait()
	}
}

// acceptLocked makes a stream that the peer opens. If it is one too many, it
// tells the peer instead.
func (s *Session) acceptLocked(id uint32) error {
	switch {
	case s.opensLocally(id):
		return fmt.Errorf("%w: peer opens stream %d, which is not its to open", mux.ErrProtocol, id)
	case s.streams[id] != nil:
		return fmt.Errorf("%w: peer opens stream %d again", mux.ErrProtocol, id)
	case s.config.MaxStreams < 0 && s.unwanted == maxUnwanted:
		return fmt.Errorf("%w: peer has opened %d streams and may not open any", mux.ErrProtocol, maxUnwanted+1)
	case s.config.MaxStreams < 0:
		s.unwanted++
		fallthrough
	case s.err != nil, s.closing, s.draining, s.fromPeer >= s.config.MaxStreams, len(s.accepts) >= s.config.AcceptBacklog:
		_, err := s.replyLocked(Frame{Flags: Reset, ID: id})
		return err
	}
	st := newStream(s, id)
	st.accepted = true
	s.streams[id] = st
	s.fromPeer++
	s.accepts = append(s.accepts, st)
	s.accepting.Broadcast()
	return nil
}

// maxUnwanted is how many streams a peer that may open none can try to open
// before that costs it the session.
const maxUnwanted = 100

// opensLocally reports whether streams of this id are opened on this end.
func (s *Session) opensLocally(id uint32) bool { return id%2 == uint32(s.side)%2 }

// acceptedLocked notes that the peer has accepted st, or will not any more.
func (s *Session) acceptedLocked(st *Stream) {
	if !st.accepted {
		st.accepted = true
		s.unaccepted--
		s.opening.Broadcast()
	}
}

// forgetLocked ends the life of st as far as frames are concerned.
func (s *Session) forgetLocked(st *Stream) {
	delete(s.streams, st.id)
	s.acceptedLocked(st)
	if !s.opensLocally(st.id) {
		s.fromPeer--
	}
}

// closedErr is the error of what is used after Close or Shutdown on this end.
func (s *Session) closedErr() error {
	return fmt.Errorf("%s: session: %w", s.wire.Name(), net.ErrClosed)
}

// lost is the error of a session that ended otherwise.
func (s *Session) lost(cause error) error {
	if errors.Is(cause, io.EOF) {
		// Nobody may take the end of the session for the end of a stream.
		cause = mux.ErrClosedByPeer
	}
	return fmt.Errorf("%s: %w: %w", s.wire.Name(), mux.ErrSessionEnded, cause)
}
