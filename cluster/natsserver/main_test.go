package natsserver_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster/natsserver"
)

const (
	// patience bounds what has to happen, on a loaded machine.
	patience = 20 * time.Second

	anywhere = "127.0.0.1:0"
)

// start runs a server until t is done.
func start(t *testing.T, config natsserver.Config) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// member runs a server that others can join.
func member(t *testing.T, name string, config *tls.Config, join ...string) *natsserver.Server {
	t.Helper()
	return start(t, natsserver.Config{Name: name, ClusterAddr: anywhere, TLS: config, Join: join})
}

// addr is where others join a server.
func addr(s *natsserver.Server) string { return s.ClusterAddr().String() }

// port is that of addr, at another name of the host.
func port(t *testing.T, s *natsserver.Server, host string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr(s))
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, port)
}

// meet waits until all servers are connected to each other.
func meet(t *testing.T, servers ...*natsserver.Server) {
	t.Helper()
	for _, s := range servers {
		backdialtest.Until(t, "routes to all others", func() bool { return s.Routes() == len(servers)-1 })
	}
}

// free returns an address where nothing listens.
func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", anywhere)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
