package hashicorpyamux

import (
	"io"
	"math"
	"net"

	"github.com/hashicorp/yamux"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxlib"
)

// New returns the library's yamux multiplexer. Its name is "hashicorpyamux", its protocol
// "backdial.v1.yamux". The dial side is the yamux client, the listen side the yamux
// server.
func New() mux.Muxer {
	return muxlib.New(muxlib.Library{
		Name:     "hashicorpyamux",
		Protocol: "backdial.v1.yamux",
		Streams:  1<<31 - 1,
		Backlog:  true,
		Start:    start,
		Errors: map[error]error{
			yamux.ErrConnectionReset:    mux.ErrReset,
			yamux.ErrRemoteGoAway:       mux.ErrGoAway,
			yamux.ErrStreamsExhausted:   mux.ErrGoAway,
			yamux.ErrInvalidVersion:     mux.ErrProtocol,
			yamux.ErrInvalidMsgType:     mux.ErrProtocol,
			yamux.ErrDuplicateStream:    mux.ErrProtocol,
			yamux.ErrRecvWindowExceeded: mux.ErrProtocol,
			yamux.ErrUnexpectedFlag:     mux.ErrProtocol,
		},
	})
}

func start(end *muxlib.End) (muxlib.Session, error) {
	config := yamux.DefaultConfig()
	config.AcceptBacklog = end.Config.AcceptBacklog
	config.EnableKeepAlive = false
	config.ConnectionWriteTimeout = math.MaxInt64 // a timeout would make it forget what it has written
	config.StreamOpenTimeout = 0                  // a timeout would end the session
	config.StreamCloseTimeout = 0                 // a timeout would reset a half-closed stream
	config.MaxStreamWindowSize = uint32(end.Config.Window)
	config.LogOutput = io.Discard
	side := yamux.Server
	if end.DialSide {
		side = yamux.Client
	}
	s := &session{}
	s.Frames = muxlib.NewFrames(end, muxlib.Format{Header: headerSize, Parse: parse, Hear: s.hear})
	var err error
	s.lib, err = side(s.Frames, config)
	return s, err
}

// session makes the library's session a [muxlib.Session].
type session struct {
	*muxlib.Frames
	lib *yamux.Session
}

func (s *session) Open() (net.Conn, error)   { return s.stream(s.lib.OpenStream()) }
func (s *session) Accept() (net.Conn, error) { return s.stream(s.lib.AcceptStream()) }
func (s *session) Close() error              { return s.lib.Close() }
func (s *session) Leave() error              { return s.lib.GoAway() }

func (s *session) Ping() error {
	_, err := s.lib.Ping()
	return err
}

func (s *session) stream(st *yamux.Stream, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return stream{st, s}, nil
}

// stream makes the library's stream a [muxlib.Stream].
type stream struct {
	*yamux.Stream
	s *session
}

// CloseWrite ends one direction, as the library's Close does.
func (st stream) CloseWrite() error { return st.Stream.Close() }

// Close gives up the other direction too. A peer that waits to write learns of it when it
// does.
func (st stream) Close() error {
	err := st.Stream.Close()
	if !st.s.Forget(st.StreamID()).Ended {
		st.s.Say(frame(typeWindowUpdate, 0, st.StreamID(), 1))
	}
	return err
}

// Reset implements [muxlib.Resetter].
func (st stream) Reset() {
	st.s.Forget(st.StreamID())
	st.s.reset(st.StreamID())
	st.Stream.Close()
}
