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
		return &anySocket{PacketConn: conn}
	}
}

// A watchable socket tells r of every packet that it sends.
type watchable interface{ watch(r *retries) }

var (
	_ watchable = (*udpSocket)(nil)
	_ watchable = (*anySocket)(nil)
)

// udpSocket gets the largest buffers that the kernel allows. quic-go cannot inspect them
// without SyscallConn, but needs that method later: it exists as soon as quic-go has
// asked for the second buffer.
type udpSocket struct {
	*net.UDPConn
	asked   bool     // used only while quic-go sets up the socket
	retries *retries // nil: not counted
}

func (s *udpSocket) watch(r *retries) { s.retries = r }

func (s *udpSocket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	defer s.retries.sent(b)
	return s.UDPConn.WriteMsgUDP(b, oob, addr)
}

// WriteTo is what quic-go uses on some systems.
func (s *udpSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	defer s.retries.sent(b)
	return s.UDPConn.WriteTo(b, addr)
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
type anySocket struct {
	net.PacketConn
	retries *retries // nil: not counted
}

func (s *anySocket) watch(r *retries) { s.retries = r }

func (s *anySocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	defer s.retries.sent(b)
	return s.PacketConn.WriteTo(b, addr)
}

func (*anySocket) SetReadBuffer(int) error  { return nil }
func (*anySocket) SetWriteBuffer(int) error { return nil }
