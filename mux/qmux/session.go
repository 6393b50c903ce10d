package qmux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
	"github.com/backdial/backdial/mux/internal/recv"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// session implements [mux.Session]. Its goroutines are a reader, which lives as long as
// the session, a writer, which lives while there is something to write and a little
// longer, and one that ends a session without credit.
//
// The reader waits for nobody, so two ends cannot block each other. It writes only once:
// when it meets its peer, it writes as much as there is room for. All else that it has to
// say is noted in its place and becomes frames when a batch is taken, so there is never
// more of it than there are streams.
type session struct {
	life.Session[*stream]
	version *version
	conn    recordConn
	side    side
	budget  recv.Budget
	inflow  inflow
	read    chan struct{} // closed when the reader has returned

	// Used by the reader only.
	records *recordReader
	chaff   chaff

	// Guarded by Mu, like the sending halves of streams.

	greeting   *time.Timer        // ends a session whose peer sends no parameters
	peer       *peer              // nil until the peer's parameters are known
	streams    map[uint64]*stream // with an id, and in use on either end
	incoming   incoming
	outgoing   outgoing
	pings      pings
	sameRecord sameRecord

	out        out
	writer     writeloop.Loop
	control    control
	flight     flight
	watchdog   watchdog
	unfinished int       // streams with data that waits for the peer's parameters or for credit
	flushed    sync.Cond // everything that can be written has been
}

var _ mux.Session = (*session)(nil)

// greetingTime is how long a peer may take to send its parameters. Until then it occupies
// a place and holds what was written.
const greetingTime = 10 * time.Second

func newSession(v *version, conn net.Conn, side side, config mux.Config) *session {
	s := &session{
		version: v,
		conn:    newRecordConn(conn),
		side:    side,
		read:    make(chan struct{}),
		streams: make(map[uint64]*stream),
	}
	s.Init(name, protocol{s}, config)
	s.flushed.L = &s.Mu
	s.records = newRecordReader(s.conn, s.Hear)
	s.out.limit = minRecordSize
	s.budget.Init(name, &s.Config, receiver{s}, false)
	s.writer.Init(written{s}, &s.Mu, &s.WG, conn, s.Config.Linger)
	s.KeepAlive(s.Config)
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.greeting = time.AfterFunc(greetingTime, func() {
		s.End(s.lost(fmt.Errorf("%w: no transport parameters within %v", mux.ErrSilent, greetingTime)))
	})
	s.writer.Hold()
	s.greetLocked()
	s.writer.Release() // an idle session needs no writer
	s.WG.Go(s.readLoop)
	return s
}

// greetLocked queues the first frame of the session, which says what this end can take.
func (s *session) greetLocked() {
	s.inflow.init(&s.Config, &s.budget)
	s.incoming.limit, _ = s.incomingLimitLocked()
	p := parameters{
		initialMaxData:                 s.inflow.told(),
		initialMaxStreamDataBidiLocal:  uint64(s.Config.Window),
		initialMaxStreamDataBidiRemote: uint64(s.Config.Window),
		initialMaxStreamsBidi:          s.incoming.limit,
		maxRecordSize:                  maxRecordSize,
		backlog:                        uint64(max(s.Config.AcceptBacklog, 1)),
	}
	s.batchLocked().frame(frame{typ: s.version.parameters}, p.append(nil))
	s.flushLocked()
}

// peer is the other end, as its transport parameters describe it.
type peer struct {
	parameters
	maxStreams uint64 // how many streams this end may open, ever
}

// extended reports whether the peer knows the extension.
func (p *peer) extended() bool { return p != nil && p.backlog > 0 }

// meetLocked notes the peer's parameters, and resumes everything that waited for them.
func (s *session) meetLocked(p *parameters) {
	s.greeting.Stop()
	s.peer = &peer{parameters: *p, maxStreams: p.initialMaxStreamsBidi}
	s.out.meetLocked(p)
	if !s.peer.extended() {
		s.flight.window = p.initialMaxData
	}
	s.incoming.reportEvery = max(p.backlog/4, 1)
	s.grantStreamsLocked()
	s.nameLocked()
	s.WakeOpenLocked()
	s.fillLocked()
	s.flushLocked()
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

func (s protocol) MayAcceptLocked() bool { return true }

func (s protocol) AcceptedLocked(st *stream) { s.acceptedLocked(st) }

func (s protocol) LeaveLocked() {
	s.control.leaving = true
	s.flushLocked()
}

// lost is the error of a session that ended without Close on this end.
func (s *session) lost(cause error) error {
	if errors.Is(cause, io.EOF) {
		// The end of a session must not look like the end of a stream.
		cause = fmt.Errorf("carrier ended without CONNECTION_CLOSE: %w", io.ErrUnexpectedEOF)
	}
	return s.Lost(cause)
}
