package testnet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// FreeAddr returns an address on the loopback interface on which nothing listens, by TCP
// or UDP. Its port is outside the range from which systems assign ports, so that it stays
// free, also while a server is restarted. No two calls in a process return the same one.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.N(12_000))
		if _, given := given.LoadOrStore(addr, true); given {
			continue
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		conn, err := net.ListenPacket("udp", addr)
		ln.Close()
		if err == nil {
			conn.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// given are the addresses that FreeAddr has returned, or found in use.
var given sync.Map
