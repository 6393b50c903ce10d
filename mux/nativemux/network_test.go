package nativemux_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
)

// The tests in a bubble of package synctest have a network without kernel and
// a clock of their own, so the times they look at are exact and cost nothing.

const (
	oneWay    = 50 * time.Millisecond // that a packet takes
	roundTrip = 2 * oneWay
)

var (
	serverAddr = &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 443}
	clientAddr = &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1).To4(), Port: 4321}
)

// A network has a server, a client, and a path between them.
type network struct {
	simnet.PerfectRouter
	net    simnet.Simnet
	server *socket
	client *socket

	mu   sync.Mutex             // guards below
	drop map[string]func() bool // by the destination
	dead bool
	sent int
	lost int
}

// Conditions are those of the path, for each direction: whether it drops the next packet,
// and by how much it delays it. They may be nil. Calls for one direction do not overlap.
type conditions struct {
	drop  func(direction uint64) func() bool
	delay func(direction uint64) func() time.Duration
}

// everyNth drops one packet of n.
func everyNth(n int) func(uint64) func() bool {
	return func(uint64) func() bool {
		i := 0
		return func() bool { i++; return i%n == 0 }
	}
}

// percent drops so many packets of a hundred, the same ones in every run.
func percent(p int) func(uint64) func() bool {
	return func(direction uint64) func() bool {
		r := rand.New(rand.NewPCG(1, direction))
		return func() bool { return r.IntN(100) < p }
	}
}

// jitter delays each packet by less than d, so that they overtake each other.
func jitter(d time.Duration) func(uint64) func() time.Duration {
	return func(direction uint64) func() time.Duration {
		r := rand.New(rand.NewPCG(2, direction))
		return func() time.Duration { return time.Duration(r.Int64N(int64(d))) }
	}
}

func newNetwork(t *testing.T, c conditions) *network {
	n := &network{drop: make(map[string]func() bool)}
	n.net.Router = n
	endpoint := func(addr *net.UDPAddr, direction uint64) *socket {
		n.drop[addr.String()] = func() bool { return false }
		if c.drop != nil {
			n.drop[addr.String()] = c.drop(direction)
		}
		link := simnet.NodeBiDiLinkSettings{Latency: oneWay}
		if c.delay != nil {
			delay := c.delay(direction)
			link.LatencyFunc = func(simnet.Packet) time.Duration { return oneWay + delay() }
		}
		return &socket{SimConn: n.net.NewEndpoint(addr, link), closed: make(chan struct{})}
	}
	n.server, n.client = endpoint(serverAddr, 1), endpoint(clientAddr, 2)
	if err := n.net.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.net.Close() })
	return n
}

// SendPacket implements [simnet.Router].
func (n *network) SendPacket(p simnet.Packet) error {
	n.mu.Lock()
	n.sent++
	drop := n.drop[p.To.String()]() || n.dead
	if drop {
		n.lost++
	}
	n.mu.Unlock()
	if drop {
		return nil
	}
	return n.PerfectRouter.SendPacket(p)
}

// setDead makes the path drop everything from now on, or nothing more than before.
func (n *network) setDead(dead bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = dead
}

// count returns how many packets were sent, and how many of them were lost.
func (n *network) count() (sent, lost int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent, n.lost
}

// A socket reports when it is closed.
type socket struct {
	*simnet.SimConn
	once   sync.Once
	closed chan struct{}
}

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.SimConn.Close()
}

// dial connects the client to the server, until t ends. Then it closes both conns, and
// the sockets must be closed before the bubble ends.
func (n *network) dial(t *testing.T, opts ...webtransport.Option) (server, client carrier.Conn) {
	t.Helper()
	const protocol = "backdial.v1.native"
	certificate, err := webtransport.SelfSigned(serverAddr.IP.String())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	opts = append(opts, webtransport.WithListenPacket(
		func(context.Context, string, string) (net.PacketConn, error) { return n.client, nil }))
	c := webtransport.New(opts...)
	upgraded := make(chan carrier.Conn, 1)
	endpoint, err := c.ListenHTTP3(&http3.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := c.Upgrade(w, r, protocol)
			if err != nil {
				t.Error("upgrade:", err)
				return
			}
			upgraded <- conn
		}),
	}, n.server)
	if err != nil {
		t.Fatal(err)
	}
	go endpoint.Serve()
	t.Cleanup(func() {
		endpoint.Close()
		<-n.server.closed
		<-n.client.closed
		synctest.Wait() // for what is about to see that
	})
	client, err = c.Dial(t.Context(), &carrier.Request{
		URL:       &url.URL{Scheme: "https", Host: serverAddr.String()},
		Protocols: []string{protocol},
		TLS:       &tls.Config{RootCAs: roots},
	})
	if err != nil {
		t.Fatal("dial:", err)
	}
	server = <-upgraded
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return server, client
}

// A duo is a session and its peer: dial is on the server, which opens streams.
type duo struct{ dial, listen mux.Session }

// sessions starts both ends of a session, until t ends.
func (n *network) sessions(t *testing.T, config mux.Config, opts ...webtransport.Option) (d duo) {
	t.Helper()
	server, client := n.dial(t, opts...)
	var err error
	if d.dial, err = nativemux.New().DialSide(server, config); err != nil {
		t.Fatal(err)
	}
	if d.listen, err = nativemux.New().ListenSide(client, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.listen.Close()
		d.dial.Close()
	})
	return d
}

// open opens a stream and makes the peer accept it.
func open(t *testing.T, from, to mux.Session) (opened, accepted mux.Stream) {
	t.Helper()
	opened, err := from.Open(t.Context())
	if err != nil {
		t.Fatal("open:", err)
	}
	if accepted, err = to.Accept(t.Context()); err != nil {
		t.Fatal("accept:", err)
	}
	return opened, accepted
}
