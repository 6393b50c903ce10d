package engine

import (
	"net"

	"github.com/backdial/backdial/mux"
)

// NewMuxer returns the multiplexer for wire, which is negotiated as protocol.
func NewMuxer(wire Wire, protocol string) mux.Muxer { return muxer{wire, protocol} }

type muxer struct {
	wire     Wire
	protocol string
}

func (m muxer) Name() string     { return m.wire.Name() }
func (m muxer) Protocol() string { return m.protocol }

func (m muxer) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return New(m.wire, conn, DialSide, config), nil
}

func (m muxer) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return New(m.wire, conn, ListenSide, config), nil
}
