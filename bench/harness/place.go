package harness

import (
	"testing"

	"github.com/backdial/backdial/bench/link"
)

// A TB is a benchmark that knows how far the client is from the server.
type TB interface {
	testing.TB

	// Reach returns the address at which one end reaches the other, which listens at addr,
	// an IP address and port. The network is tcp or udp.
	Reach(network, addr string) string
}

// near places both ends side by side.
type near struct{ testing.TB }

func (near) Reach(_, addr string) string { return addr }

// far places a path between them, which is cut when the benchmark is done.
type far struct {
	testing.TB
	conditions link.Conditions
}

func (f far) Reach(network, addr string) string {
	if network == "tcp" && f.conditions.Loss > 0 {
		f.Skip("the kernel repairs what TCP loses")
	}
	p, err := link.Open(network, addr, f.conditions)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	return p.Addr()
}
