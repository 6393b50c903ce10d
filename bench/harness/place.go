package harness

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/backdial/backdial/bench/link"
)

// A TB is a benchmark that knows how far the client is from the server.
type TB interface {
	testing.TB

	// Reach returns the address at which one end reaches the other, which listens at addr,
	// an IP address and port. The network is tcp or udp.
	Reach(network, addr string) string

	// Host returns the IP address at which servers listen.
	Host() string
}

// loopback is where both ends are unless the path between them is the kernel's.
const loopback = "127.0.0.1"

// near places both ends side by side.
type near struct{ testing.TB }

func (near) Reach(_, addr string) string { return addr }
func (near) Host() string                { return loopback }

// far places a path between them, which is cut when the benchmark is done.
type far struct {
	testing.TB
	conditions link.Conditions
}

func (far) Host() string { return loopback }

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

// through has a path between them that is the kernel's.
type through struct {
	testing.TB
	kernel *link.Kernel
}

func (t through) Host() string { return t.kernel.Near }

func (t through) Reach(_, addr string) string {
	reached, err := t.kernel.Reach(addr)
	if err != nil {
		t.Fatal(err)
	}
	return reached
}

// Listen listens for TCP connections where t has its servers, until t is done.
func Listen(t TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(t.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// FreeAddr returns an address of a host at which nobody listens, for programs that listen by
// themselves. The kernel does not give its port to clients: one could connect to itself
// there, or take the port before the program does.
func FreeAddr(t testing.TB, host string) string {
	t.Helper()
	const low, high, attempts = 10_000, 32_000, 100 // Linux gives 32768 and more
	for range attempts {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(low+rand.IntN(high-low))))
		if err == nil {
			ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatalf("of %d ports of %s, none is free", attempts, host)
	return ""
}

// ServeHTTP serves HTTP where t has its servers, with TLS if secure, until t is done. It
// returns the address by which clients reach it.
func ServeHTTP(t TB, handler http.Handler, secure bool) (addr string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = Listen(t)
	if secure {
		server.TLS = ServerTLS()
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return t.Reach("tcp", server.Listener.Addr().String())
}
