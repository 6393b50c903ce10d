package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"

	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
	"github.com/backdial/backdial/mux/internal/recv"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// A Side is one end of a session. Its value is the first stream id that it opens; the
// others follow in steps of two.
type Side uint32

// The sides, for protocols whose client opens odd streams.
const (
	DialSide   Side = 1
	ListenSide Side = 2
)

// session implements [mux.Session]. Its goroutines are a reader, which lives as long as
// the session, and a writer, which lives while there is something to write and a little
// longer.
type session struct {
	life.Session[*stream]
	wire   Wire
	conn   net.Conn
	side   Side
	budget recv.Budget
	read   chan struct{} // closed when the reader has returned

	maxMessage int // bytes that a message of conn should have

	// Guarded by Mu, like the sending halves of streams.

	streams    map[uint32]*stream  // not closed by the user
	nextID     uint32              // for the next stream opened here
	unaccepted int                 // streams opened here that the peer has not accepted
	departed   map[uint32]struct{} // those of unaccepted that the user has closed
	pinged     uint32              // the value of the last Ping
	asked      uint32              // the value of the peer's last Ping

	writer  writeloop.Loop
	data    writeloop.Mark           // after the last data of a stream
	queue   *queue                   // frames to be written; nil for none
	waiting writeloop.Turns[*stream] // streams that wait for room in the queue
	replies int                      // frames in the queue that the peer provoked
	strays  map[uint32]struct{}      // streams with a Stray in the queue
	flushed sync.Cond                // the queue has been written
	taken   sync.Cond                // the writer has taken the queue
}

var _ mux.Session = (*session)(nil)

// New starts a session on conn and takes ownership of conn.
func New(wire Wire, conn net.Conn, side Side, config mux.Config) mux.Session {
	s := &session{
		wire:    wire,
		conn:    conn,
		side:    side,
		read:    make(chan struct{}),
		streams: make(map[uint32]*stream),
		nextID:  uint32(side),

		maxMessage: math.MaxInt,
	}
	if powers.OfConn(conn).Messenger != nil {
		s.maxMessage = maxMessageSize
	}
	s.Init(wire.Name(), protocol{s}, config)
	s.flushed.L, s.taken.L = &s.Mu, &s.Mu
	s.budget.Init(wire.Name(), &s.Config, receiver{s}, true)
	s.writer.Init(written{s}, &s.Mu, &s.WG, conn, s.Config.Linger)
	s.KeepAlive(s.Config)
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

func (s protocol) MayOpenLocked() (bool, error) {
	if s.nextID > maxID {
		return false, s.OpenErr(exhaustedError{})
	}
	return s.unaccepted < s.Config.AcceptBacklog && s.queuedLocked() < s.writer.Room(), nil
}

func (s protocol) OpenLocked(context.Context) (*stream, error) {
	st := newStream(s.session, s.takeIDLocked())
	s.streams[st.id] = st
	s.unaccepted++
	s.appendLocked(Frame{Flags: Open, ID: st.id, Credit: s.firstCredit()})
	return st, nil
}

// firstCredit raises the peer's credit on a new stream from the protocol's value to the
// configured window.
func (s *session) firstCredit() Credit {
	return Credit{Grant: uint32(s.Config.Window - initialWindow), Window: uint32(s.Config.Window)}
}

// MayAcceptLocked returns false while the peer does not read: accepting would send it
// more.
func (s protocol) MayAcceptLocked() bool { return s.queuedLocked() < s.writer.Room() }

func (s protocol) AcceptedLocked(st *stream) {
	s.appendLocked(Frame{Flags: Ack, ID: st.id, Credit: s.firstCredit()})
}

func (s protocol) PingLocked() {
	s.pinged = (s.pinged + 1) % pingValues
	s.Pings.Asked()
	s.appendLocked(Frame{Kind: Ping, Value: s.pinged})
}

// AskLocked writes the ping itself, if it can, instead of waking the writer for it.
func (s protocol) AskLocked() {
	s.writer.Hold()
	s.PingLocked()
	s.writer.Release()
}

func (s protocol) MustAnswerLocked() bool { return s.wire.Answers() || s.HasAnsweredLocked() }

func (s protocol) StuckLocked() error { return s.Stuck(s.writer.Stuck()) }

// LeaveLocked leaves the writing to Farewell, if that follows.
func (s protocol) LeaveLocked() {
	if leaves := (Frame{Kind: GoAway, Value: goAwayNormal}); s.StateLocked() == life.Closing {
		s.queueLocked(leaves)
	} else {
		s.appendLocked(leaves)
	}
}

// acceptLocked creates a stream that the peer opens, or refuses it if there are too many.
func (s *session) acceptLocked(id uint32) error {
	switch {
	case s.opensLocally(id):
		return fmt.Errorf("%w: peer opens stream %d, which only this end may open", mux.ErrProtocol, id)
	case s.streams[id] != nil:
		return fmt.Errorf("%w: peer opens stream %d again", mux.ErrProtocol, id)
	}
	admitted, err := s.AdmitLocked()
	if err != nil {
		return err
	}
	if !admitted {
		_, err := s.replyLocked(Frame{Flags: Reset, ID: id})
		return err
	}
	st := newStream(s, id)
	st.accepted = true
	s.streams[id] = st
	s.ArrivedLocked(st)
	return nil
}

// opensLocally reports whether this end opens streams with that id.
func (s *session) opensLocally(id uint32) bool { return id%2 == uint32(s.side)%2 }

// acceptedLocked notes that the peer has accepted st, or never will.
func (s *session) acceptedLocked(st *stream) {
	if !st.accepted {
		st.accepted = true
		s.unaccepted--
		s.WakeOpenLocked()
	}
}

// forgetLocked forgets st: later frames for it are strays.
func (s *session) forgetLocked(st *stream) {
	delete(s.streams, st.id)
	if s.opensLocally(st.id) && !st.accepted { // it still occupies the peer's backlog
		if s.departed == nil {
			s.departed = make(map[uint32]struct{})
		}
		s.departed[st.id] = struct{}{}
	}
}

// endedLocked notes whether neither end of st writes any more. Its place is then free for
// another stream, which the peer may open even before this end calls Close.
func (s *session) endedLocked(st *stream) {
	if st.finSent && st.finReceived && !st.vacated && !s.opensLocally(st.id) {
		st.vacated = true
		s.VacatedLocked()
	}
}

// departedLocked notes that the peer has sent a frame for a stream closed here: it has
// accepted the stream, or never will.
func (s *session) departedLocked(id uint32) {
	if _, ok := s.departed[id]; ok {
		delete(s.departed, id)
		s.unaccepted--
		s.WakeOpenLocked()
	}
}

// lost is the error of a session that ended without Close on this end.
func (s *session) lost(cause error) error {
	if errors.Is(cause, io.EOF) {
		// The end of a session must not look like the end of a stream.
		cause = mux.ErrClosedByPeer
	}
	return s.Lost(cause)
}
