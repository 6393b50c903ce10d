package carriertest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/testcert"
)

// enough is more requests than a Dial makes.
const enough = 16

// A server accepts the connections of a test.
type server struct {
	target   Target
	addr     string
	network  string      // of addr, such as "tcp"
	config   *tls.Config // its own
	tls      *tls.Config // for clients
	close    func()      // stops listening; may be repeated
	serveErr chan error  // of a Listener's Serve
}

// Serve starts a server for the carrier, which calls h for requests. It returns the URL
// to dial, the TLS settings for clients, which are nil without TLS, and a function that
// stops listening. Connections go on after that.
func (target Target) Serve(t *testing.T, h http.Handler) (url string, client *tls.Config, stop func()) {
	t.Helper()
	s := serve(t, target, h.ServeHTTP)
	return s.request().URL.String(), s.tls, s.close
}

// hosts are the names in a server's certificate.
var hosts = []string{"127.0.0.1", "::1", "localhost"}

// serve starts a server that calls h, until t ends.
func serve(t *testing.T, target Target, h http.HandlerFunc) *server {
	t.Helper()
	if !target.TLS {
		return serveTLS(t, target, nil, nil, h)
	}
	ca := testcert.NewCA(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, hosts...)}}
	return serveTLS(t, target, config, &tls.Config{RootCAs: ca.Pool()}, h)
}

// serveTLS is serve with the TLS settings of each side, which are nil without TLS.
func serveTLS(t *testing.T, target Target, config, client *tls.Config, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{target: target, config: config, tls: client}
	if l, ok := target.Carrier.(carrier.Listener); ok {
		s.listen(t, l, config, h)
	} else {
		s.serveHTTP(config, h)
	}
	t.Cleanup(s.close)
	return s
}

func (s *server) serveHTTP(config *tls.Config, h http.Handler) {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if wrap := s.target.Listener; wrap != nil {
		srv.Listener = wrap(srv.Listener)
	}
	if config != nil {
		srv.TLS = config
		srv.StartTLS()
	} else {
		srv.Start()
	}
	s.setAddr(srv.Listener.Addr())
	s.close = srv.Close
}

func (s *server) listen(t *testing.T, l carrier.Listener, config *tls.Config, h http.Handler) {
	t.Helper()
	e, err := l.Listen(cmp.Or(s.target.Addr, "127.0.0.1:0"), config, h)
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	s.setAddr(e.Addr())
	s.serveErr = make(chan error, 1)
	go func() { s.serveErr <- e.Serve() }()
	s.close = func() { e.Close() }
}

func (s *server) setAddr(a net.Addr) { s.addr, s.network = a.String(), a.Network() }

// clientTLS returns TLS settings for a client that dials the server's address without the
// carrier.
func (s *server) clientTLS(t *testing.T) *tls.Config {
	t.Helper()
	if s.tls == nil {
		return nil
	}
	host, _, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	config := s.tls.Clone()
	config.ServerName = host
	return config
}

// welcome is a handler that closes each connection when its client does.
func welcome(target Target) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := target.Carrier.Upgrade(w, r, protocol)
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			io.Copy(io.Discard, conn)
		}()
	}
}

// needNetwork skips t if the server is not on the given network.
func (s *server) needNetwork(t *testing.T, network string) {
	t.Helper()
	if s.network != network {
		t.Skipf("the suite can do this on a %s network, but not on %q", network, s.network)
	}
}

// request returns a request for the server.
func (s *server) request(protocols ...string) *carrier.Request {
	scheme := "http"
	if s.target.TLS {
		scheme = "https"
	}
	return &carrier.Request{
		URL:       &url.URL{Scheme: cmp.Or(s.target.Scheme, scheme), Host: s.addr, Path: "/carrier"},
		Protocols: protocols,
		TLS:       s.tls,
	}
}

// dial dials, and fails t on an error. The connection is closed when t ends.
func (s *server) dial(t *testing.T, r *carrier.Request) carrier.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := s.target.Carrier.Dial(ctx, r)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// try dials and returns only the error.
func (s *server) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.tryUnbounded(ctx)
}

// tryUnbounded is try without a time limit of its own.
func (s *server) tryUnbounded(ctx context.Context) error {
	conn, err := s.target.Carrier.Dial(ctx, s.request(protocol))
	if err == nil {
		conn.Close()
	}
	return err
}

// A pair is both ends of a connection.
type pair struct {
	client, server carrier.Conn
	on             *server
}

// connect makes a connection with the protocol that choose returns for the offers.
func connect(t *testing.T, target Target, r func(*server) *carrier.Request, choose func(offers []string) string) pair {
	t.Helper()
	accepted := make(chan carrier.Conn, enough)
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		offers, ok := target.Carrier.Offer(r)
		if !ok {
			t.Error("Offer does not know a request of Dial")
			return
		}
		conn, err := target.Carrier.Upgrade(w, r, choose(offers))
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		accepted <- conn
	})
	p := pair{on: s, client: s.dial(t, r(s))}
	p.server = receive(t, "Upgrade", accepted)
	// Both at once: a Close that waits for the other end breaks a promise, but must not
	// hang the suite.
	t.Cleanup(func() {
		var wg sync.WaitGroup
		wg.Go(func() { p.client.Close() })
		wg.Go(func() { p.server.Close() })
		wg.Wait()
	})
	return p
}

// eachWay calls test with a new connection for each direction: first end is the client's,
// then the server's.
func eachWay(t *testing.T, target Target, test func(t *testing.T, end, peer carrier.Conn)) {
	t.Helper()
	t.Run("Client", func(t *testing.T) {
		p := opened(t, target)
		test(t, p.client, p.server)
	})
	t.Run("Server", func(t *testing.T) {
		p := opened(t, target)
		test(t, p.server, p.client)
	})
}

// protocol is what connections agree upon in tests where it does not matter.
const protocol = "carriertest.v1"

// plain connects with [protocol].
func plain(t *testing.T, target Target) pair {
	t.Helper()
	return connect(t, target,
		func(s *server) *carrier.Request { return s.request(protocol) },
		func([]string) string { return protocol })
}

// opened is plain, with bytes exchanged both ways. On a StreamConn the client opens the
// stream for them with its first Read or Write.
func opened(t *testing.T, target Target) pair {
	t.Helper()
	p := plain(t, target)
	if _, ok := p.client.(carrier.StreamConn); ok {
		if _, err := p.client.Write(nil); err != nil {
			t.Fatalf("Write of nothing: %v", err)
		}
	}
	return p
}

// isClosed reports whether err is the error of a closed connection.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
