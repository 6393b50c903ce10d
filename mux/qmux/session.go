package qmux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/keepalive"
	"github.com/backdial/backdial/internal/window"
	"github.com/backdial/backdial/internal/writeloop"
	"github.com/backdial/backdial/mux"
)

// A session implements [mux.Session]. Its goroutines are a reader, which lives as
// long as the session, and a writer, which lives while there is something to write
// and a little longer. Both end with the session, however it ends; Close waits for
// them.
//
// The reader waits for nobody, so two ends cannot block each other; when it meets its
// peer it writes what there is room for at once, and otherwise nothing. What it has to
// say, as everything but data, is noted where it concerns, and becomes frames when a
// batch is taken: there is never more of it than streams.
//
// Locks are taken in the order Stream.mu, session.mu.
type session struct {
	version *version
	conn    recordConn
	side    side
	config  mux.Config

	ctx     context.Context // cancelled with the cause by end, once
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup // the reader, the writer, and what ends a session without credit
	read    chan struct{}  // closed when the reader is done
	heard   atomic.Uint64  // how often the carrier has delivered something
	windows window.Pool
	pings   pinger

	// For the reader.
	records *recordReader
	inflow  inflow
	chaff   chaff

	mu         sync.Mutex // guards below, and the sending half of streams
	err        error      // why the session is over
	verdict    error      // why it is about to be
	closing    bool       // Close was called
	draining   bool       // Shutdown was called
	keepalive  *keepalive.Keepalive
	greeting   *time.Timer        // ends a session whose peer never says who it is
	peer       *peer              // nil until the peer's parameters are known
	streams    map[uint64]*Stream // that have an id, and are in use on either end
	inUse      int                // opened or accepted here, and not closed
	incoming   incoming
	outgoing   outgoing
	out        out
	writer     writeloop.Loop
	control    control
	flight     flight
	watchdog   watchdog
	unfinished int // streams with data that waits for the peer's parameters or credit

	opening   sync.Cond // Open may go on
	accepting sync.Cond // Accept may go on
	drained   sync.Cond // inUse went down
	flushed   sync.Cond // everything that can be written is
}

var _ mux.Session = (*session)(nil)

// greetingTime is how long a peer may take to say who it is. Until then it holds a
// place, and what has been written.
const greetingTime = 10 * time.Second

func newSession(v *version, conn net.Conn, side side, config mux.Config) *session {
	s := &session{
		version: v,
		conn:    newRecordConn(conn),
		side:    side,
		config:  config.WithDefaults(),
		read:    make(chan struct{}),
		streams: make(map[uint64]*Stream),
	}
	for _, c := range []*sync.Cond{&s.opening, &s.accepting, &s.drained, &s.flushed} {
		c.L = &s.mu
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.records = newRecordReader(s.conn, func() { s.heard.Add(1) })
	s.out.limit = minRecordSize
	s.windows.Init(&s.config)
	s.writer.Init(written{s}, &s.mu, &s.wg, conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepalive = keepalive.Start(s.config, &kept{session: s})
	s.greeting = time.AfterFunc(greetingTime, func() {
		s.end(lost(fmt.Errorf("%w: no transport parameters within %v", mux.ErrSilent, greetingTime)))
	})
	s.writer.Hold()
	s.greetLocked()
	s.writer.Release(true) // an idle session needs no writer
	s.wg.Go(s.readLoop)
	return s
}

// greetLocked queues the first frame of the session, which says what this end is
// ready to take.
func (s *session) greetLocked() {
	s.inflow.init(&s.config, &s.windows)
	s.incoming.limit, _ = s.incomingLimitLocked()
	p := parameters{
		initialMaxData:                 s.inflow.allowed,
		initialMaxStreamDataBidiLocal:  uint64(s.config.Window),
		initialMaxStreamDataBidiRemote: uint64(s.config.Window),
		initialMaxStreamsBidi:          s.incoming.limit,
		maxRecordSize:                  maxRecordSize,
		backlog:                        uint64(max(s.config.AcceptBacklog, 1)),
	}
	s.batchLocked().frame(frame{typ: s.version.parameters}, p.append(nil))
	s.flushLocked()
}

// A peer is the other end, as its transport parameters describe it.
type peer struct {
	parameters
	maxStreams uint64 // that it lets this end open, ever
	leaving    bool   // it wants no new streams
}

// extended reports whether the peer knows the extension.
func (p *peer) extended() bool { return p != nil && p.backlog > 0 }

// meetLocked notes what the peer is, and goes on with what had to wait for that.
func (s *session) meetLocked(p *parameters) {
	s.greeting.Stop()
	s.peer = &peer{parameters: *p, maxStreams: p.initialMaxStreamsBidi}
	s.out.meet(p)
	if !s.peer.extended() {
		s.flight.window = p.initialMaxData
	}
	s.incoming.reportEvery = max(p.backlog/4, 1)
	s.grantStreamsLocked()
	s.nameLocked()
	s.opening.Broadcast()
	s.fillLocked()
	s.flushLocked()
}

// Context implements [mux.Session].
func (s *session) Context() context.Context { return s.ctx }

// Streams implements [mux.Session].
func (s *session) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inUse
}

// Open implements [mux.Session]. A stream that is opened before the peer's parameters
// are known gets its id when they are.
func (s *session) Open(ctx context.Context) (mux.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for waiting := false; ; {
		if err := s.openErrLocked(); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("qmux: open: %w", ctxerr.Of(ctx))
		}
		switch {
		case s.mayOpenLocked():
			return s.openLocked(), nil
		case !waiting: // that costs something, and is rare
			waiting = true
			defer s.wakeAfter(ctx, &s.opening)()
		default:
			s.opening.Wait()
		}
	}
}

func (s *session) openErrLocked() error {
	switch {
	case s.err != nil:
		return s.err
	case s.closing, s.draining:
		return errSessionClosed
	case s.peer != nil && s.peer.leaving:
		return fmt.Errorf("qmux: open: %w", mux.ErrGoAway)
	}
	return nil
}

// wakeAfter has c, whose lock is s.mu, woken when ctx ends, unless stop is
// called before. Who looks at ctx with the lock held cannot miss it.
func (s *session) wakeAfter(ctx context.Context, c *sync.Cond) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	return context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.Broadcast()
	})
}

// Accept implements [mux.Session]. Streams that had arrived when the session
// ended by the peer's doing are still accepted: what was sent on them may be
// complete.
func (s *session) Accept(ctx context.Context) (mux.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for waiting := false; ; {
		switch {
		case s.closing, s.draining:
			return nil, errSessionClosed
		case ctx.Err() != nil:
			return nil, fmt.Errorf("qmux: accept: %w", ctxerr.Of(ctx))
		case len(s.incoming.accepts) > 0:
			st := s.incoming.accepts[0]
			s.incoming.accepts = slices.Delete(s.incoming.accepts, 0, 1)
			s.inUse++
			s.acceptedLocked(st)
			s.measureFirstLocked()
			return st, nil
		case s.err != nil:
			return nil, s.err
		case !waiting:
			waiting = true
			defer s.wakeAfter(ctx, &s.accepting)()
		default:
			s.accepting.Wait()
		}
	}
}

// lost is the error of a session that ended otherwise than by Close on this end.
func lost(cause error) error {
	if errors.Is(cause, io.EOF) {
		// Nobody may take the end of the session for the end of a stream.
		cause = fmt.Errorf("carrier ended without CONNECTION_CLOSE: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("qmux: %w: %w", mux.ErrSessionEnded, cause)
}
