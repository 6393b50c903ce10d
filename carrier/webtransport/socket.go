package webtransport

import (
	"errors"
	"net"
	"syscall"

	"github.com/quic-go/quic-go"
)

// quiet returns conn for use by quic-go, which likes a socket with buffers of
// 7 MiB. If it sees that it got less it says so to the standard logger, once,
// which a library must not. QUIC works with any buffer.
func quiet(conn net.PacketConn) net.PacketConn {
	switch conn := conn.(type) {
	case *net.UDPConn:
		return &udpSocket{UDPConn: conn}
	case quic.OOBCapablePacketConn:
		return conn // of a caller who knows quic-go
	default:
		return anySocket{conn}
	}
}

// An udpSocket gets the largest buffers that the kernel allows. quic-go cannot
// inspect them while there is no SyscallConn, which it needs later on: there
// is one as soon as it has asked for the second buffer.
type udpSocket struct {
	*net.UDPConn
	asked bool // only used while quic-go sets up the socket
}

func (s *udpSocket) SyscallConn() (syscall.RawConn, error) {
	if !s.asked {
		return nil, errors.ErrUnsupported
	}
	return s.UDPConn.SyscallConn()
}

func (s *udpSocket) SetReadBuffer(bytes int) error {
	s.UDPConn.SetReadBuffer(bytes)
	return nil
}

func (s *udpSocket) SetWriteBuffer(bytes int) error {
	s.UDPConn.SetWriteBuffer(bytes)
	s.asked = true
	return nil
}

// An anySocket has whatever buffers it has.
type anySocket struct{ net.PacketConn }

func (anySocket) SetReadBuffer(int) error  { return nil }
func (anySocket) SetWriteBuffer(int) error { return nil }
