//go:build !linux

package link

import (
	"net"
	"net/netip"
	"slices"
)

// coalesce does nothing: a train is a single datagram here.
func coalesce(*net.UDPConn) error { return nil }

// readTrain reads a datagram of n bytes.
func readTrain(c *net.UDPConn, b []byte) (n, size int, from netip.AddrPort, err error) {
	n, from, err = c.ReadFromUDPAddrPort(b)
	return n, n, from, err
}

// writeTrain writes datagrams. For a connected socket, to is the zero address.
func writeTrain(c *net.UDPConn, t *train, to netip.AddrPort) error {
	for datagram := range slices.Chunk(t.bytes, max(t.size, 1)) {
		if _, _, err := c.WriteMsgUDPAddrPort(datagram, nil, to); err != nil {
			return err
		}
	}
	return nil
}
