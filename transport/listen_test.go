package transport_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/transport"
)

// A listening is a carrier that listens on a UDP port.
type listening struct {
	carrier.Carrier // for the rest
	name, altSvc    string
	unbound         bool // it only pretends: two cannot have the same UDP port
	fail            error
	failures        int // before it listens

	mu        sync.Mutex // guards below
	tried     []string
	endpoints chan *udpEndpoint
}

func newListening(name string) *listening {
	return &listening{Carrier: mem.New(), name: name, endpoints: make(chan *udpEndpoint, 100)}
}

func (c *listening) Name() string { return c.name }

func (c *listening) Listen(addr string, _ *tls.Config, _ http.Handler) (carrier.Endpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried = append(c.tried, addr)
	if len(c.tried) <= c.failures {
		return nil, fmt.Errorf("%s: %w", c.name, c.fail)
	}
	e := &udpEndpoint{closed: make(chan struct{})}
	if c.unbound {
		e.addr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	} else {
		conn, err := net.ListenPacket("udp", addr)
		if err != nil {
			return nil, err
		}
		e.conn, e.addr = conn, conn.LocalAddr()
	}
	c.endpoints <- e
	if c.altSvc != "" {
		return advertisedEndpoint{e, c.altSvc}, nil
	}
	return e, nil
}

type udpEndpoint struct {
	conn   net.PacketConn // nil if it only pretends
	addr   net.Addr
	once   sync.Once
	closed chan struct{}
}

func (e *udpEndpoint) Addr() net.Addr { return e.addr }

func (e *udpEndpoint) Serve() error {
	<-e.closed
	return net.ErrClosed
}

func (e *udpEndpoint) Close() error {
	e.once.Do(func() { close(e.closed) })
	if e.conn == nil {
		return nil
	}
	return e.conn.Close()
}

type advertisedEndpoint struct {
	*udpEndpoint
	altSvc string
}

func (e advertisedEndpoint) AltSvc() string { return e.altSvc }

// TestOneAddress makes three endpoints, and asks the one that speaks HTTP.
func TestOneAddress(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", ""} {
		t.Run("Addr="+addr, func(t *testing.T) {
			leak.Check(t)
			if addr == "" {
				addr = testnet.FreeAddr(t)
			}
			first, second, third := newListening("first"), newListening("second"), newListening("third")
			second.unbound, third.unbound = true, true
			first.altSvc, second.altSvc = `h3=":1"`, `h3=":2"`
			server := serverFunc(t, nil, transport.WithCarriers(first, ws.New(), second, third))
			server.Addr = addr
			served := make(chan error, 1)
			go func() { served <- server.ListenAndServe() }()
			bound := await.From(t, "first endpoint", first.endpoints).Addr().String()
			for _, c := range []*listening{second, third} {
				if got := await.From(t, "endpoint", c.endpoints).Addr().String(); got != bound {
					t.Errorf("%s listens on %s, the first on %s", c.name, got, bound)
				}
			}
			awaitListening(t, bound)
			for what, header := range map[string]http.Header{
				"426": nil,
				"400": upgrade("backdial.v9.future"),
				"101": upgrade("backdial.v1.yamux"),
			} {
				r, err := http.NewRequestWithContext(within(t), http.MethodGet, "http://"+bound, nil)
				if err != nil {
					t.Fatal(err)
				}
				for k, v := range header {
					r.Header[k] = v
				}
				answer, err := (&http.Transport{DisableKeepAlives: header == nil}).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if got := strings.Join(answer.Header["Alt-Svc"], "; "); got != `h3=":1"; h3=":2"` || !strings.HasPrefix(answer.Status, what) {
					t.Errorf("status %s with Alt-Svc %s", answer.Status, got)
				}
			}
			server.Close()
			if err := await.From(t, "end of ListenAndServe", served); err != transport.ErrServerClosed {
				t.Errorf("ListenAndServe: %v", err)
			}
			// Nothing is left there.
			isFree(t, bound)
		})
	}
}

// isFree expects that nothing listens on addr.
func isFree(t *testing.T, addr string) {
	t.Helper()
	if ln, err := net.Listen("tcp", addr); err != nil {
		t.Error(err)
	} else {
		ln.Close()
	}
	if conn, err := net.ListenPacket("udp", addr); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

// In TestPortTaken ports are free for TCP only.
func TestPortTaken(t *testing.T) {
	leak.Check(t)
	c := newListening("quic")
	c.fail, c.failures = syscall.EADDRINUSE, 5
	server := serverFunc(t, nil, transport.WithCarriers(ws.New(), c))
	server.Addr = "127.0.0.1:0"
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	awaitListening(t, await.From(t, "endpoint", c.endpoints).Addr().String())
	server.Close()
	await.From(t, "end of ListenAndServe", served)
	if len(c.tried) != 6 {
		t.Errorf("tried %q", c.tried)
	}
}

func TestListenFails(t *testing.T) {
	handler := transport.EndpointHandlerFunc(func(*transport.Dialer) {})
	taken := testnet.FreeAddr(t)
	for _, test := range []struct {
		name, addr string
		fail       error
		tried      int
	}{
		{"any port", "127.0.0.1:0", syscall.EADDRINUSE, 10},
		{"one port", taken, syscall.EADDRINUSE, 1},
		{"another reason", "127.0.0.1:0", errors.New("no certificate"), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			works, fails := newListening("works"), newListening("fails")
			works.unbound = true // a port may be taken by somebody else
			fails.fail, fails.failures = test.fail, 1000
			err := transport.ListenAndServe(test.addr, handler, transport.WithCarriers(works, fails, ws.New()))
			last := fails.tried[len(fails.tried)-1]
			want := fmt.Sprintf("transport: listen on %s for fails: fails: %v", last, test.fail)
			if !errors.Is(err, test.fail) || err.Error() != want {
				t.Errorf("error\n\t%v, want\n\t%s", err, want)
			}
			if len(fails.tried) != test.tried {
				t.Errorf("tried %q, want %d", fails.tried, test.tried)
			}
			for range fails.tried {
				await.From(t, "end of another endpoint", await.From(t, "endpoint", works.endpoints).closed)
				isFree(t, last)
			}
		})
	}
	ln, err := net.Listen("tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	err = transport.ListenAndServe(taken, handler, transport.WithCarriers(newListening("quic"), ws.New()))
	if want := fmt.Sprintf("transport: listen on %s for ws: ", taken); !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// In TestListenByName the only carrier has addresses without a port.
func TestListenByName(t *testing.T) {
	leak.Check(t)
	c := newListening("quic") // two without TCP share the port as well
	d := newListening("other")
	d.unbound = true
	server := serverFunc(t, nil, transport.WithCarriers(c, d))
	server.Addr = "127.0.0.1:0"
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	if c, d := await.From(t, "endpoint", c.endpoints).Addr(), await.From(t, "endpoint", d.endpoints).Addr(); c.String() != d.String() {
		t.Errorf("endpoints at %v and %v", c, d)
	}
	server.Close()
	await.From(t, "end of ListenAndServe", served)

	network := mem.New()
	dialers := make(chan *transport.Dialer, 1)
	server = serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithCarriers(network, newListening("fails")))
	server.Addr = "kiosk" // which is no address for UDP
	if err := server.ListenAndServe(); err == nil || !strings.HasPrefix(err.Error(), "transport: listen on kiosk for fails: ") {
		t.Errorf("error %v", err)
	}
	server = serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithCarriers(network))
	server.Addr = "kiosk"
	go func() { served <- server.ListenAndServe() }()
	var lis *transport.Listener
	for err := io.EOF; err != nil; {
		if lis, err = transport.DialAndListenContext(within(t), "mem://kiosk", nil, transport.WithCarriers(network)); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
	await.From(t, "Dialer", dialers)
	lis.Close()
	server.Close()
	await.From(t, "end of ListenAndServe", served)
}
