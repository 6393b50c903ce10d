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
)

// A server is where the connections of a test arrive.
type server struct {
	target   Target
	addr     string
	tls      *tls.Config // for clients
	close    func()      // stops listening; may be repeated
	serveErr chan error  // of a Listener's Serve
}

// Serve starts a server for the carrier, whose requests h answers. It returns
// the URL to dial, the TLS settings of clients, which are nil without TLS, and
// a function that stops listening. Connections live on after that.
func (target Target) Serve(t *testing.T, h http.Handler) (url string, client *tls.Config, stop func()) {
	t.Helper()
	s := serve(t, target, h.ServeHTTP)
	return s.request().URL.String(), s.tls, s.close
}

// serve starts a server that h answers for, until t ends.
func serve(t *testing.T, target Target, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{target: target}
	if l, ok := target.Carrier.(carrier.Listener); ok {
		s.listen(t, l, h)
	} else {
		s.serveHTTP(h)
	}
	t.Cleanup(s.close)
	return s
}

func (s *server) serveHTTP(h http.Handler) {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if s.target.TLS {
		srv.StartTLS()
		s.tls = trust(srv)
	} else {
		srv.Start()
	}
	s.addr = srv.Listener.Addr().String()
	s.close = srv.Close
}

func (s *server) listen(t *testing.T, l carrier.Listener, h http.Handler) {
	t.Helper()
	var certificate *tls.Config
	if s.target.TLS {
		srv := httptest.NewTLSServer(nil)
		certificate = &tls.Config{Certificates: srv.TLS.Certificates}
		s.tls = trust(srv)
		srv.Close()
	}
	e, err := l.Listen(cmp.Or(s.target.Addr, "127.0.0.1:0"), certificate, h)
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	s.addr = e.Addr().String()
	s.serveErr = make(chan error, 1)
	go func() { s.serveErr <- e.Serve() }()
	s.close = func() { e.Close() }
}

// trust returns the configuration of a client that trusts srv.
func trust(srv *httptest.Server) *tls.Config {
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return &tls.Config{RootCAs: roots}
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

// dial dials, and fails t if that fails. The connection closes when t ends.
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

// try dials for the error alone.
func (s *server) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.target.Carrier.Dial(ctx, s.request(protocol))
	if err == nil {
		conn.Close()
	}
	return err
}

// A pair is the two ends of a connection.
type pair struct {
	client, server carrier.Conn
	on             *server
}

// connect connects with the protocol that choose returns, given the offers.
func connect(t *testing.T, target Target, r func(*server) *carrier.Request, choose func(offers []string) string) pair {
	t.Helper()
	accepted := make(chan carrier.Conn, 1)
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
	// Both at once: a Close that waits for the other end breaks a promise, but
	// must not hang the suite.
	t.Cleanup(func() {
		var wg sync.WaitGroup
		wg.Go(func() { p.client.Close() })
		wg.Go(func() { p.server.Close() })
		wg.Wait()
	})
	return p
}

// eachWay calls test with a new connection for each direction: with end being
// the client's, and with end being the server's.
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

// protocol is what connections agree upon where it does not matter.
const protocol = "carriertest.v1"

// plain connects with [protocol].
func plain(t *testing.T, target Target) pair {
	t.Helper()
	return connect(t, target,
		func(s *server) *carrier.Request { return s.request(protocol) },
		func([]string) string { return protocol })
}

// opened is plain, with bytes that go both ways. On a StreamConn it is the
// client that opens their stream, with its first Read or Write.
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

// isClosed reports whether err is what a closed connection returns.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
