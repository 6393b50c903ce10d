package qmux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/backdial/backdial/internal/chaff"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
	"github.com/backdial/backdial/mux/internal/recv"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// session implements [mux.Session]. Its goroutines are a reader, which lives as long as
// the session, a writer, which lives while there is something to write and a little
// longer, and one that ends a session without credit. A Read of a stream may do the
// reader's work: see [recv.Role].
//
// The reader waits for nobody, so two ends cannot block each other. It writes only when it
// meets its peer and when it answers a ping, as much as there is room for. All else that it
// has to say is noted in its place and becomes frames when a batch is taken, so there is never
// more of it than there are streams.
type session struct {
	life.Session[*stream]
	version *version
	conn    recordConn
	side    side
	budget  recv.Budget
	inflow  inflow
	read    chan struct{} // closed when the reader has returned

	// For whoever has the role of the reader.
	records *recordReader
	chaff   chaff.Counter
	fault   error // why the keeper must end the session, if not the keeper has found out

	// Guarded by Mu, like the sending halves of streams.

	greeting   greeting
	peer       *peer              // nil until the peer's parameters are known
	streams    map[uint64]*stream // with an id, and in use on either end
	incoming   incoming
	outgoing   outgoing
	pings      pings
	sameRecord sameRecord

	out        out
	writer     writeloop.Loop
	control    control
	arrivals   arrivals
	flight     flight
	watchdog   watchdog
	unfinished int       // streams with data that waits for the peer's parameters or for credit
	flushed    sync.Cond // everything that can be written has been
}

var _ mux.Session = (*session)(nil)

func newSession(v *version, conn net.Conn, side side, config mux.Config) *session {
	return newGreeted(v, conn, side, config, nil)
}

// newGreeted is newSession for an end that has met its peer already, unless met is nil.
func newGreeted(v *version, conn net.Conn, side side, config mux.Config, met *parameters) *session {
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
	if s.conn.messages != nil {
		s.budget.Role.Init(s.conn.prompt, driven{s})
	}
	s.writer.Init(written{s}, &s.Mu, &s.WG, conn, s.Config.Linger)
	s.KeepAlive(s.Config)
	s.Mu.Lock()
	s.writer.Hold()
	s.greetLocked(met)
	s.writer.Release() // an idle session needs no writer
	s.Mu.Unlock()
	if met != nil {
		s.keepBusy(met.maxIdleTimeout)
	}
	s.WG.Go(s.readLoop)
	return s
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

// LeaveLocked leaves the writing to Farewell, if that follows and need not wait for the peer.
func (s protocol) LeaveLocked() {
	s.control.leaving = true
	if s.StateLocked() != life.Closing || s.unfinished > 0 {
		s.flushLocked()
	}
}

// lost is the error of a session that ended without Close on this end.
func (s *session) lost(cause error) error {
	if errors.Is(cause, io.EOF) {
		// The end of a session must not look like the end of a stream.
		cause = fmt.Errorf("carrier ended without CONNECTION_CLOSE: %w", io.ErrUnexpectedEOF)
	}
	return s.Lost(cause)
}
