package webtransport

import (
	"errors"
	"net"
	"syscall"

	"github.com/quic-go/quic-go"
)

// quiet returns conn for use by quic-go, which wants a socket with buffers of 7 MiB. If
// it notices that it got less, it logs that to the standard logger, once, which a library
// must not do. QUIC works with any buffer.
func quiet(conn net.PacketConn) net.PacketConn {
	switch conn := conn.(type) {
	case *net.UDPConn:
		return receiveTrains(&udpSocket{UDPConn: conn})
	case quic.OOBCapablePacketConn:
		return conn // its caller knows quic-go
	default:
		return anySocket{conn}
	}
}

// udpSocket gets the largest buffers that the kernel allows. quic-go cannot inspect them
// without SyscallConn, but needs that method later: it exists as soon as quic-go has
// asked for the second buffer.
type udpSocket struct {
	*net.UDPConn
	asked bool // used only while quic-go sets up the socket
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

// anySocket keeps its buffers.
type anySocket struct{ net.PacketConn }

func (anySocket) SetReadBuffer(int) error  { return nil }
func (anySocket) SetWriteBuffer(int) error { return nil }
