package link

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"
)

// The kernel takes and returns whole trains, which costs a tenth of single datagrams. See
// udp(7).
const (
	udpSegment = 103
	udpGRO     = 104
)

// coalesce makes readTrain return trains of more than one datagram.
func coalesce(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_UDP, udpGRO, 1)
	})
	if err != nil {
		return err
	}
	return failed
}

// readTrain reads n bytes of datagrams, each of size bytes except the last.
func readTrain(c *net.UDPConn, b []byte) (n, size int, from netip.AddrPort, err error) {
	var oob [64]byte
	n, oobn, _, from, err := c.ReadMsgUDPAddrPort(b, oob[:])
	if err != nil {
		return 0, 0, from, err
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return 0, 0, from, err
	}
	for _, m := range messages {
		if m.Header.Level == syscall.IPPROTO_UDP && m.Header.Type == udpGRO {
			return n, int(binary.NativeEndian.Uint32(m.Data)), from, nil
		}
	}
	return n, n, from, nil
}

// writeTrain writes datagrams. For a connected socket, to is the zero address.
func writeTrain(c *net.UDPConn, t *train, to netip.AddrPort) error {
	if len(t.bytes) <= t.size {
		_, _, err := c.WriteMsgUDPAddrPort(t.bytes, nil, to)
		return err
	}
	const length = 2 // of the size
	oob := make([]byte, syscall.CmsgSpace(length))
	h := (*syscall.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = syscall.IPPROTO_UDP, udpSegment
	h.SetLen(syscall.CmsgLen(length))
	binary.NativeEndian.PutUint16(oob[syscall.CmsgLen(0):], uint16(t.size))
	_, _, err := c.WriteMsgUDPAddrPort(t.bytes, oob, to)
	return err
}
