// Package testnet makes connections for tests.
package testnet

import (
	"net"
	"testing"
)

// Pair returns the two ends of a TCP connection on the loopback interface.
// They are closed when t is done.
func Pair(t testing.TB) (dialled, accepted *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	for err == nil && b.RemoteAddr().String() != a.LocalAddr().String() {
		b.Close() // a client of another test, whose server had this port
		b, err = ln.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a.(*net.TCPConn), b.(*net.TCPConn)
}
