package libp2ptest

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/backdial/backdial/mux"
)

// A multiplexer is a mux.Muxer with libp2p's interface.
type multiplexer struct{ muxer mux.Muxer }

var _ network.Multiplexer = multiplexer{}

// NewConn implements [network.Multiplexer]. The server is the end that was dialled.
func (m multiplexer) NewConn(c net.Conn, isServer bool, _ network.PeerScope) (network.MuxedConn, error) {
	start := m.muxer.DialSide
	if isServer {
		start = m.muxer.ListenSide
	}
	session, err := start(c, mux.Config{})
	if err != nil {
		return nil, err
	}
	return &conn{session}, nil
}

// A conn is a mux.Session with libp2p's interface.
type conn struct{ session mux.Session }

var _ network.MuxedConn = (*conn)(nil)

func (c *conn) Close() error { return c.session.Close() }

// CloseWithError is Close: sessions have no codes.
func (c *conn) CloseWithError(network.ConnErrorCode) error { return c.Close() }

func (c *conn) IsClosed() bool { return c.session.Context().Err() != nil }

func (c *conn) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	return newStream(c.session.Open(ctx))
}

func (c *conn) AcceptStream() (network.MuxedStream, error) {
	return newStream(c.session.Accept(context.Background()))
}

func (c *conn) As(target any) bool {
	session, ok := target.(*mux.Session)
	if ok {
		*session = c.session
	}
	return ok
}

// A stream is a mux.Stream with libp2p's interface.
type stream struct{ mux.Stream }

var _ network.MuxedStream = stream{}

func newStream(st mux.Stream, err error) (network.MuxedStream, error) {
	if err != nil {
		return nil, err
	}
	return stream{st}, nil
}

func (s stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	return n, translate(err)
}

func (s stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, translate(err)
}

// translate returns libp2p's error for err.
func translate(err error) error {
	if errors.Is(err, mux.ErrReset) {
		return fmt.Errorf("%w: %w", network.ErrReset, err)
	}
	return err
}

// CloseRead fails: only Close or Reset ends the receiving half of a mux.Stream.
func (s stream) CloseRead() error { return fmt.Errorf("close read: %w", errors.ErrUnsupported) }

// ResetWithError is Reset if the protocol has no codes.
func (s stream) ResetWithError(code network.StreamErrorCode) error {
	if coded, ok := s.Stream.(mux.CodeResetter); ok {
		return coded.ResetWithCode(uint32(code))
	}
	return s.Reset()
}
