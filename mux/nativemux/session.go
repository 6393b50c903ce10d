package nativemux

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

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/keepalive"
	"github.com/backdial/backdial/internal/roundtrip"
	"github.com/backdial/backdial/mux"
)

// helloWait is how long a peer that says nothing is taken for one that has not
// said anything yet.
const helloWait = time.Second

// reserve is how many new streams' windows of a connection's are kept free, at
// least.
const reserve = 8

// A session implements [mux.Session]. Its goroutines are one that takes the
// streams that the peer opens, one that reads control messages, one that
// writes them while there are any, and those that fetch the data of streams
// that nobody reads. All end with the session; Close waits for them.
//
// Locks are taken in the order stream.mu, session.mu.
type session struct {
	conn       carrier.StreamConn
	config     mux.Config
	listenSide bool
	started    time.Time
	windows    carrier.Windows
	budget     int64 // for what is not read, in bytes

	ctx    context.Context // cancelled with the cause by end, once
	cancel context.CancelCauseFunc
	opens  context.Context // cancelled when Open has to return
	shut   context.CancelFunc
	wg     sync.WaitGroup // all goroutines
	heard  atomic.Uint64  // how often something has arrived
	held   atomic.Int64   // bytes of memory in the buffers of all streams
	watch  watch

	mu         sync.Mutex // guards below
	err        error      // why the session is over
	closing    bool       // Close was called
	draining   bool       // Shutdown was called
	peerLeaves bool       // the peer wants no more streams
	streams    map[uint64]*stream
	opened     uint64    // streams that were opened here, or are about to be
	announced  uint64    // streams that were opened here
	arrived    uint64    // streams that the peer opened
	fromPeer   int       // streams in the map that the peer opened
	inUse      int       // streams in the map without those in accepts
	accepts    []*stream // opened by the peer, to be accepted
	control    control
	peerCloses peerCloses
	keepalive  *keepalive.Keepalive
	unwanted   int             // streams that the peer opened although it may open none
	roundTrip  roundtrip.Meter // of pings
	pong       chan struct{}   // closed by the next answer, for those who wait; or nil

	opening   sync.Cond // Open may go on
	accepting sync.Cond // Accept may go on
	drained   sync.Cond // inUse went down
}

var _ mux.Session = (*session)(nil)

func newSession(conn carrier.StreamConn, config mux.Config, listenSide bool) *session {
	s := &session{
		conn:       conn,
		config:     config.WithDefaults(),
		listenSide: listenSide,
		started:    time.Now(),
		streams:    make(map[uint64]*stream),
	}
	s.windows = conn.Windows()
	// The carrier's window of all must not fill up: it would stop the control
	// messages too.
	beside := max(reserve*s.windows.Stream, s.windows.MaxStream)
	s.budget = int64(max(min(s.config.ReceiveBuffer, s.windows.All-beside), 1))
	for _, c := range []*sync.Cond{&s.opening, &s.accepting, &s.drained} {
		c.L = &s.mu
	}
	s.control.ownBacklog = uint64(s.config.AcceptBacklog)
	s.control.greeted = make(chan struct{})
	s.control.answered = make(chan struct{})
	s.control.asked = s.roundTrip.Asked
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.opens, s.shut = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if listenSide {
		s.keepalive = keepalive.Start(s.config, kept{s})
		s.control.open = true // by the first message
	}
	s.sayLocked(func(c *control) { c.hello = true })
	s.wg.Go(s.acceptStreams)
	s.wg.Go(s.readControl)
	return s
}

// Context implements [mux.Session].
func (s *session) Context() context.Context { return s.ctx }

// Open implements [mux.Session].
func (s *session) Open(ctx context.Context) (mux.Stream, error) {
	if err := s.reserve(ctx); err != nil {
		return nil, err
	}
	bounded, done := s.whileOpen(ctx)
	defer done()
	cs, err := s.conn.OpenStream(bounded)
	st, err := s.add(ctx, cs, err)
	if err != nil {
		if cs != nil {
			reset(cs, codeRefused)
		}
		return nil, err
	}
	return st, nil
}

// reserve waits until the peer has room for one more stream to be accepted.
func (s *session) reserve(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for waiting := false; ; {
		if err := s.openErrLocked(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("native: open: %w", ctxerr.Of(ctx))
		}
		switch {
		case s.mayOpenLocked():
			s.opened++
			return nil
		case !waiting: // that costs something, and is rare
			waiting = true
			defer context.AfterFunc(ctx, s.wakeOpening)()
			if !s.control.heard {
				late := time.AfterFunc(helloWait-time.Since(s.started), s.wakeOpening)
				defer late.Stop()
			}
		default:
			s.opening.Wait()
		}
	}
}

func (s *session) wakeOpening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening.Broadcast()
}

// mayOpenLocked reports whether the peer has room for another stream.
func (s *session) mayOpenLocked() bool {
	if !s.control.heard && time.Since(s.started) >= helloWait {
		return true // this one never says what it has accepted
	}
	return s.opened-s.control.taken < uint64(s.config.AcceptBacklog)
}

func (s *session) openErrLocked() error {
	switch {
	case s.err != nil:
		return s.err
	case s.closing, s.draining:
		return errSessionClosed
	case s.peerLeaves:
		return fmt.Errorf("native: open: %w", mux.ErrGoAway)
	}
	return nil
}

// whileOpen returns a context that ends with ctx and when no stream can be
// opened any more.
func (s *session) whileOpen(ctx context.Context) (context.Context, func()) {
	if ctx.Done() == nil {
		return s.opens, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.opens, cancel)
	return ctx, func() { stop(); cancel() }
}

// add makes a stream of what the carrier has opened.
func (s *session) add(ctx context.Context, cs carrier.Stream, err error) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gone := s.openErrLocked(); gone != nil {
		err = gone
	} else if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("native: open: %w", ctxerr.Of(ctx))
	} else if err != nil {
		err = lost(err)
	}
	if cs != nil {
		s.announced++ // the peer counts it, whatever becomes of it
	}
	if err != nil {
		if cs == nil {
			s.opened--
			s.opening.Broadcast()
		}
		return nil, err
	}
	st := newStream(s, cs)
	s.streams[st.cs.ID()] = st
	s.inUse++
	s.watch.look(s)
	s.measureFirstLocked()
	return st, nil
}

// acceptStreams takes the streams that the peer opens, until the session ends.
func (s *session) acceptStreams() {
	for {
		cs, err := s.conn.AcceptStream(s.ctx)
		if err != nil {
			s.end(s.lost(err))
			return
		}
		s.heard.Add(1)
		arrived, err := s.arrive(cs)
		if !arrived {
			reset(cs, codeRefused)
		}
		if err != nil {
			s.end(s.lost(err))
			return
		}
	}
}

// maxUnwanted is how many streams a peer that may open none can try to open
// before that costs it the session.
const maxUnwanted = 100

// arrive makes a stream of cs, unless it is one too many. An error means that the
// peer goes on trying.
func (s *session) arrive(cs carrier.Stream) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived++
	defer s.answerClosingLocked()
	if s.err != nil || s.closing || s.draining || s.fromPeer >= s.config.MaxStreams || len(s.accepts) >= s.config.AcceptBacklog {
		s.acceptedLocked()
		if s.config.MaxStreams < 0 {
			s.unwanted++
		}
		if s.unwanted > maxUnwanted {
			return false, fmt.Errorf("%w: peer has opened %d streams and may not open any", mux.ErrProtocol, s.unwanted)
		}
		return false, nil
	}
	st := newStream(s, cs)
	st.fromPeer = true
	s.streams[cs.ID()] = st
	s.fromPeer++
	s.accepts = append(s.accepts, st)
	s.accepting.Broadcast()
	s.awaitLocked(st)
	s.watch.look(s)
	return true, nil
}

// reset tells the peer that nobody wants cs, and why.
func reset(cs carrier.Stream, code uint32) {
	cs.CancelRead(code)
	cs.CancelWrite(code)
}

// Streams implements [mux.Session].
func (s *session) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inUse
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
			return nil, fmt.Errorf("native: accept: %w", ctxerr.Of(ctx))
		case s.listenSide && !s.control.spoken && s.err == nil:
			// What is said on streams comes after hello, so the peer knows
			// by then what to expect.
		case len(s.accepts) > 0:
			st := s.accepts[0]
			s.accepts = slices.Delete(s.accepts, 0, 1)
			s.inUse++
			s.acceptedLocked()
			s.measureFirstLocked()
			return st, nil
		case s.err != nil:
			return nil, s.err
		}
		if !waiting {
			waiting = true
			defer context.AfterFunc(ctx, s.wakeAccepting)()
			continue
		}
		s.accepting.Wait()
	}
}

func (s *session) wakeAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepting.Broadcast()
}

// spawn runs f as a goroutine of the session, unless that is over.
func (s *session) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.wg.Go(f)
	}
}

// forget ends what the session has to do with st.
func (s *session) forget(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[st.cs.ID()] != st {
		return // it was refused before it was accepted
	}
	s.forgetLocked(st)
	s.inUse--
	s.drained.Broadcast()
}

func (s *session) forgetLocked(st *stream) {
	delete(s.streams, st.cs.ID())
	if st.fromPeer {
		s.fromPeer--
	}
}

func (s *session) live() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.liveLocked()
}

// errSessionClosed is the error of what is used after Close or Shutdown on this end.
var errSessionClosed = fmt.Errorf("native: session: %w", net.ErrClosed)

// lost is the error of a session that ended otherwise.
func (s *session) lost(cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peerCloses.begun && !errors.Is(cause, mux.ErrProtocol) {
		cause = mux.ErrClosedByPeer
	}
	return lost(cause)
}

func lost(cause error) error {
	if errors.Is(cause, io.EOF) {
		// Nobody may take the end of the session for the end of a stream.
		cause = mux.ErrClosedByPeer
	}
	return fmt.Errorf("native: %w: %w", mux.ErrSessionEnded, cause)
}

// A kept is a session as package keepalive sees it.
type kept struct{ *session }

func (s kept) Heard() uint64 { return s.heard.Load() }

func (s kept) Ask() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pingLocked()
	return nil
}

// Dead ends the session, unless Close is under way, which has a bound of its
// own.
func (s kept) Dead(err error) {
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if !closing {
		s.end(s.lost(err))
	}
}
