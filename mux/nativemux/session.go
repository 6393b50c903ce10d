package nativemux

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
)

// helloWait is how long this end waits for hello before it assumes that the peer will say
// nothing.
const helloWait = time.Second

// reserve is how many new streams' windows are always kept free in the connection's
// window.
const reserve = 8

// session implements [mux.Session]. One goroutine takes the streams that the peer opens,
// one reads control messages, one writes them while there are any, and others fetch the
// data of streams that nobody reads. All end with the session; Close waits for them.
//
// Locks are taken in the order stream.in, life.Session.Mu.
type session struct {
	life.Session[*stream]
	conn       carrier.StreamConn
	listenSide bool
	started    time.Time
	windows    carrier.Windows
	budget     int // bytes that streams may hold if the peer does not count
	watch      watch

	opens context.Context // cancelled when no stream can be opened any more
	shut  context.CancelFunc

	inflows  inflows
	outflows outflows
	held     atomic.Int64 // bytes of memory in the buffers of all streams
	guessed  atomic.Int64 // estimate of the bytes in all streams if the peer does not count

	// Guarded by Mu.

	streams    map[uint64]*stream // not closed by the user
	opened     uint64             // streams that this end opened, or is about to
	announced  uint64             // streams that this end opened
	arrived    uint64             // streams that the peer opened
	patient    *time.Timer        // makes Open go on if the peer says nothing; or nil
	control    control
	peerCloses peerCloses
	relieving  bool // relieve runs
}

var _ mux.Session = (*session)(nil)

func newSession(conn carrier.StreamConn, config mux.Config, listenSide bool) *session {
	s := &session{
		conn:       conn,
		listenSide: listenSide,
		started:    time.Now(),
		windows:    conn.Windows(),
		streams:    make(map[uint64]*stream),
	}
	s.opens, s.shut = context.WithCancel(context.Background())
	s.Init(name, protocol{s}, config)
	s.budget = guessable(s.windows, s.Config.ReceiveBuffer)
	s.inflows.init(creditable(s.windows, s.Config.ReceiveBuffer))
	s.control.init(s.Config.AcceptBacklog, s.Pings.Asked)
	if listenSide {
		s.KeepAlive(s.Config) // the server starts when it has heard hello
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.control.open = listenSide // the client may write at once; the server after the client's first message
	s.control.counts = listenSide
	s.sayLocked(func(c *control) { c.hello = true })
	s.WG.Go(s.acceptStreams)
	s.WG.Go(s.readControl)
	return s
}

// creditable is how much may be unread if the peer counts: a sixteenth less than the
// receive buffer, which leaves room for the carrier's own needs, and a sixteenth less
// than the carrier's window for all streams, which leaves room for control messages.
func creditable(w carrier.Windows, buffer int) int {
	size := min(buffer, w.All)
	return max(size-size/16, chunk)
}

// guessable is how much, by estimate, may be unread if the peer does not count. The
// carrier's window for all streams must not fill up, or all streams would wait.
func guessable(w carrier.Windows, buffer int) int {
	beside := max(reserve*w.Stream, w.MaxStream)
	return max(min(buffer, w.All-beside), 1)
}

// Open implements [mux.Session].
func (s *session) Open(ctx context.Context) (mux.Stream, error) {
	return life.Stream(s.Session.Open(ctx))
}

// Accept implements [mux.Session].
func (s *session) Accept(ctx context.Context) (mux.Stream, error) {
	return life.Stream(s.Session.Accept(ctx))
}

// protocol is a session as seen by package life.
type protocol struct{ *session }

var _ life.Protocol[*stream] = protocol{}

// MayAcceptLocked returns false on the client until hello has been written: data on
// streams follows hello, so by then the peer knows what to expect.
func (s protocol) MayAcceptLocked() bool { return !s.listenSide || s.control.spoken }

func (s protocol) AcceptedLocked(*stream) { s.acceptedLocked() }

// LeaveLocked says nothing if the session closes: closing says it too.
func (s protocol) LeaveLocked() {
	if s.StateLocked() == life.Draining {
		s.sayLocked(func(c *control) { c.leaving = true })
	}
}

// acceptStreams takes the streams that the peer opens, until the session ends.
func (s *session) acceptStreams() {
	for {
		cs, err := s.conn.AcceptStream(s.Context())
		if err != nil {
			s.End(s.lost(err))
			return
		}
		s.Hear(0)
		arrived, err := s.arrive(cs)
		if !arrived {
			reset(cs, codeRefused)
		}
		if err != nil {
			s.End(s.lost(err))
			return
		}
	}
}

// arrive makes a stream of cs, or refuses it if there are too many. An error means that
// the peer keeps trying although it may open none.
func (s *session) arrive(cs carrier.Stream) (bool, error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.arrived++
	defer s.answerClosingLocked()
	out := s.countStreamLocked(cs.ID())
	if admitted, err := s.AdmitLocked(); !admitted {
		s.acceptedLocked()
		s.endedLocked(cs.ID(), 0)
		return false, err
	}
	st := newStream(s, cs, out)
	st.fromPeer = true
	s.streams[cs.ID()] = st
	s.ArrivedLocked(st)
	s.awaitLocked(st)
	s.watch.look(s)
	return true, nil
}

// reset tells the peer that nobody wants cs, with a code that says why.
func reset(cs carrier.Stream, code uint32) {
	cs.CancelRead(code)
	cs.CancelWrite(code)
}

// spawn runs f as a goroutine of the session, unless the session is over.
func (s *session) spawn(f func()) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.ErrLocked() == nil {
		s.WG.Go(f)
	}
}

// forget removes st from the session.
func (s *session) forget(st *stream) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.streams[st.cs.ID()] == st { // otherwise it was refused before anybody accepted it
		delete(s.streams, st.cs.ID())
		s.ClosedLocked(st.fromPeer)
	}
}

func (s *session) live() []*stream {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return protocol{s}.LiveLocked()
}

// lost is the error of a session that ended without Close on this end.
func (s *session) lost(cause error) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.lostLocked(cause)
}

func (s *session) lostLocked(cause error) error {
	// The end of a session must not look like the end of a stream.
	if errors.Is(cause, io.EOF) || s.peerCloses.begun && !errors.Is(cause, mux.ErrProtocol) {
		cause = mux.ErrClosedByPeer
	}
	return s.Lost(cause)
}
