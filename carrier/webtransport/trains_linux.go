package webtransport

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// maxTrain is the largest size of a train, which is the largest size of an IP packet.
const maxTrain = 1 << 16

// trainBuffers pools the buffers of trains, so that a socket that waits has none.
var trainBuffers = sync.Pool{New: func() any { return new([maxTrain]byte) }}

// trainSocket is a socket that receives trains. A train is datagrams of the same size, except
// that the last may be smaller, that came from one sender at once. The kernel hands them over
// together (UDP_GRO, udp(7)), which costs a fraction of what single datagrams do. quic-go
// wants single datagrams, but takes what ReadBatch returns in place of its own system call.
//
// One goroutine calls ReadBatch, which alone uses the fields.
type trainSocket struct {
	*udpSocket
	raw syscall.RawConn

	buffer *[maxTrain]byte // while rest is not empty
	rest   []byte          // of the last train
	size   int             // of a datagram in rest
	sender *net.UDPAddr
	err    error // of the last system call

	control [128]byte
	notes   []byte // control messages that hold for each datagram in rest
}

var _ quic.OOBCapablePacketConn = (*trainSocket)(nil)

// receiveTrains returns a socket that receives trains, or conn if the kernel has none.
func receiveTrains(conn *udpSocket) quic.OOBCapablePacketConn {
	raw, err := conn.UDPConn.SyscallConn()
	if err != nil {
		return conn
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	})
	if err != nil || refused != nil {
		return conn
	}
	return &trainSocket{udpSocket: conn, raw: raw}
}

// ReadBatch waits for datagrams, and fills ms with as many as have arrived together. A datagram
// is cut off if its message has less room.
func (s *trainSocket) ReadBatch(ms []ipv4.Message, _ int) (n int, err error) {
	if s.buffer == nil {
		if err := s.raw.Read(s.receive); err != nil {
			return 0, err
		}
		if s.err != nil {
			return 0, &net.OpError{Op: "read", Net: "udp", Source: s.LocalAddr(), Err: os.NewSyscallError("recvmsg", s.err)}
		}
	}
	for n < len(ms) && s.buffer != nil {
		s.next(&ms[n])
		n++
	}
	return n, nil
}

// next moves the first datagram of the rest to m.
func (s *trainSocket) next(m *ipv4.Message) {
	size := min(s.size, len(s.rest))
	m.N = copy(m.Buffers[0], s.rest[:size])
	m.NN = copy(m.OOB, s.notes)
	m.Addr = s.sender
	if s.rest = s.rest[size:]; len(s.rest) == 0 {
		trainBuffers.Put(s.buffer)
		s.buffer, s.rest = nil, nil
	}
}

// receive is a system call on the socket fd. It returns false if nothing has arrived.
func (s *trainSocket) receive(fd uintptr) bool {
	buffer := trainBuffers.Get().(*[maxTrain]byte)
	n, controlled, from, err := recvmsg(int(fd), buffer[:], s.control[:])
	if s.err = err; err != nil {
		trainBuffers.Put(buffer)
		return !errors.Is(err, syscall.EAGAIN)
	}
	s.buffer, s.rest = buffer, buffer[:n]
	s.size, s.notes = splitControl(s.control[:controlled], n)
	if !isAddr(s.sender, from) {
		s.sender = udpAddr(from)
	}
	return true
}

// recvmsg repeats a system call that a signal has interrupted.
func recvmsg(fd int, b, control []byte) (n, controlled int, from syscall.Sockaddr, err error) {
	for {
		n, controlled, _, from, err = syscall.Recvmsg(fd, b, control, 0)
		if err != syscall.EINTR {
			return n, controlled, from, err
		}
	}
}

// splitControl returns the size of each datagram in a train of n bytes, and the control
// messages without the one that says so. It changes control.
func splitControl(control []byte, n int) (size int, notes []byte) {
	for rest := control; len(rest) > 0; {
		h, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			before := control[:len(control)-len(rest)]
			return max(int(binary.NativeEndian.Uint32(data)), 1), append(before, next...)
		}
		rest = next
	}
	return n, control
}

// isAddr reports whether a is the address of from.
func isAddr(a *net.UDPAddr, from syscall.Sockaddr) bool {
	if a == nil {
		return false
	}
	switch from := from.(type) {
	case *syscall.SockaddrInet4:
		return a.Port == from.Port && string(a.IP) == string(from.Addr[:])
	case *syscall.SockaddrInet6:
		return a.Port == from.Port && string(a.IP) == string(from.Addr[:]) && from.ZoneId == 0
	}
	return false
}

func udpAddr(from syscall.Sockaddr) *net.UDPAddr {
	switch from := from.(type) {
	case *syscall.SockaddrInet4:
		return &net.UDPAddr{IP: from.Addr[:], Port: from.Port}
	case *syscall.SockaddrInet6:
		return &net.UDPAddr{IP: from.Addr[:], Port: from.Port, Zone: zone(int(from.ZoneId))}
	}
	return new(net.UDPAddr)
}

// zone returns the name of a network interface, or its number if it has gone.
func zone(index int) string {
	if index == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}
