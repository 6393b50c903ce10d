package testnet

import (
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
)

// quiet is how long a network must be silent to count as done.
const quiet = 30 * time.Millisecond

// TCP returns a network to the TCP server at addr. It is closed when t is done.
func TCP(t testing.TB, addr string, seed uint64) *faultnet.TCP {
	t.Helper()
	network, err := faultnet.ListenTCP(addr, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	return network
}

// UDP returns a network to the UDP server at addr. When t is done, UDP waits for
// farewells to get through, because an end without one waits for it, and closes the
// network.
func UDP(t testing.TB, addr string, seed uint64) *faultnet.UDP {
	t.Helper()
	network, err := faultnet.ListenUDP(addr, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for before := int64(-1); network.Delivered() != before; {
			before = network.Delivered()
			<-time.After(quiet)
		}
		network.Close()
	})
	return network
}
