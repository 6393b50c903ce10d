package xtacismux

import (
	"math"
	"net"

	"github.com/xtaci/smux"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxlib"
)

// New returns the library's smux multiplexer. Its name is "xtacismux", its protocol
// "backdial.v1.smux". The dial side is the smux client, the listen side the smux server.
func New() mux.Muxer {
	return muxlib.New(muxlib.Library{
		Name:     "xtacismux",
		Protocol: "backdial.v1.smux",
		Streams:  1<<31 - 1,
		Start:    start,
		Errors: map[error]error{
			smux.ErrConsumed:        mux.ErrReset,
			smux.ErrGoAway:          mux.ErrGoAway,
			smux.ErrInvalidProtocol: mux.ErrProtocol,
		},
	})
}

func start(end *muxlib.End) (muxlib.Session, error) {
	config := smux.DefaultConfig()
	config.Version = 2
	config.MaxReceiveBuffer = math.MaxInt32 // at that size it would stop reading from the peer
	config.MaxStreamBuffer = end.Config.Window
	config.KeepAliveDisabled = end.Config.KeepAlive < 0
	config.KeepAliveInterval = end.Config.KeepAlive // for a peer of the library, which knows no pings
	config.KeepAliveTimeout = math.MaxInt64
	side := smux.Server
	if end.DialSide {
		side = smux.Client
	}
	s := &session{pongs: make(chan struct{}, 1)}
	s.Frames = muxlib.NewFrames(end, muxlib.Format{Header: headerSize, Window: end.Config.Window, Parse: parse, Hear: s.hear})
	var err error
	s.lib, err = side(s.Frames, config)
	return s, err
}

// session makes the library's session a [muxlib.Session].
type session struct {
	*muxlib.Frames
	lib   *smux.Session
	pongs chan struct{}
}

func (s *session) Open() (net.Conn, error)   { return s.stream(s.lib.OpenStream()) }
func (s *session) Accept() (net.Conn, error) { return s.stream(s.lib.AcceptStream()) }
func (s *session) Close() error              { return s.lib.Close() }
func (s *session) Leave() error              { return s.Say(frame(cmdNOP, nopLeave)) }

// Ping implements [muxlib.Pinger].
func (s *session) Ping() error {
	if err := s.Say(frame(cmdNOP, nopPing)); err != nil {
		return err
	}
	select {
	case <-s.pongs:
		return nil
	case <-s.Done():
		return net.ErrClosed
	}
}

// Send implements [muxlib.Messenger].
func (s *session) Send(message []byte) error { return s.Say(frame(cmdPSH, messages, message...)) }

func (s *session) stream(st *smux.Stream, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return stream{st, s}, nil
}

// stream makes the library's stream a [muxlib.Stream].
type stream struct {
	*smux.Stream
	s *session
}

// StreamID implements [muxlib.Identified].
func (st stream) StreamID() uint32 { return st.ID() }

// Accepted sends the size of the window, which says it.
func (st stream) Accepted() { st.s.Say(update(st.ID(), 0, uint32(st.s.Config.Window))) }

// Close tells a peer that goes on writing that nobody reads.
func (st stream) Close() error {
	err := st.Stream.Close()
	if heard := st.s.Forget(st.ID()); !heard.Ended {
		st.s.Say(update(st.ID(), heard.Received+beyond, 0))
	}
	return err
}

// Reset is Close in the other order, so that the end does not look like the end of a
// complete stream.
func (st stream) Reset() {
	st.s.Say(update(st.ID(), st.s.Forget(st.ID()).Received+beyond, 0))
	st.Stream.Close()
}
