package webtransport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	foreign "github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
)

// patience bounds what must happen, on a loaded machine.
const patience = 10 * time.Second

// start calls f in a goroutine and returns a channel for its result.
func start[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// newTLS returns the settings of a server at 127.0.0.1, and of its clients.
func newTLS(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	certificate, err := webtransport.SelfSigned("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, &tls.Config{RootCAs: roots}
}

// A server is an endpoint, and what its clients need to know.
type server struct {
	carrier.Endpoint
	url string
	tls *tls.Config
}

// listen starts a server that calls h, until t ends.
func listen(t *testing.T, c *webtransport.Carrier, h http.HandlerFunc) *server {
	t.Helper()
	config, client := newTLS(t)
	e, err := c.Listen("127.0.0.1:0", config, h)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, e, client)
}

// run runs e.Serve until t ends.
func run(t *testing.T, e carrier.Endpoint, client *tls.Config) *server {
	t.Helper()
	served := start(e.Serve)
	t.Cleanup(func() {
		e.Close()
		await.From(t, "Serve", served)
	})
	return &server{e, "https://" + e.Addr().String() + "/", client}
}

// dial connects to s until t ends.
func (s *server) dial(t *testing.T, c *webtransport.Carrier) carrier.StreamConn {
	t.Helper()
	conn, err := dial(t, c, s.url, nil, s.tls)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(carrier.StreamConn)
}

func dial(t *testing.T, c *webtransport.Carrier, rawURL string, header http.Header, config *tls.Config) (carrier.Conn, error) {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := c.Dial(ctx, &carrier.Request{URL: u, Header: header, TLS: config, Protocols: []string{"one.v1", "two.v1"}})
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// accepting returns a handler that upgrades, and a channel of its connections.
func accepting(t *testing.T, c *webtransport.Carrier) (http.HandlerFunc, <-chan carrier.StreamConn) {
	accepted := make(chan carrier.StreamConn, 1)
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := c.Upgrade(w, r, "")
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		accepted <- conn.(carrier.StreamConn)
	}, accepted
}

// connect returns the ends of a connection of c, until t ends.
func connect(t *testing.T, c *webtransport.Carrier) (client, server carrier.StreamConn) {
	t.Helper()
	h, accepted := accepting(t, c)
	s := listen(t, c, h)
	client = s.dial(t, c)
	server = await.From(t, "Upgrade", accepted)
	t.Cleanup(func() { server.Close() })
	return client, server
}

// meet connects a foreign client to c.
func meet(t *testing.T, c *webtransport.Carrier) (*foreign.Session, carrier.StreamConn) {
	t.Helper()
	h, accepted := accepting(t, c)
	s := listen(t, c, h)
	config := s.tls.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	qconn, err := quic.DialAddr(t.Context(), s.Addr().String(), config, &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { qconn.CloseWithError(0, "") })
	client, err := new(foreign.Transport).NewClientConn(qconn)
	if err != nil {
		t.Fatal(err)
	}
	_, session, err := client.Dial(t.Context(), s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.CloseWithError(0, "") })
	own := await.From(t, "Upgrade", accepted)
	t.Cleanup(func() { own.Close() })
	return session, own
}

// meetServer connects c to a foreign server.
func meetServer(t *testing.T, c *webtransport.Carrier) (carrier.StreamConn, *foreign.Session) {
	t.Helper()
	accepted := make(chan *foreign.Session, 1)
	var server *foreign.Server
	url, client := serveHTTP3(t, func(w http.ResponseWriter, r *http.Request) {
		session, err := server.Upgrade(w, r)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
		}
		accepted <- session
	}, func(s *http3.Server) func(*quic.Conn) error {
		server = &foreign.Server{H3: s}
		return server.ServeQUICConn
	})
	conn, err := dial(t, c, url, nil, client)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(carrier.StreamConn), await.From(t, "Upgrade", accepted)
}

// serveHTTP3 starts an HTTP/3 server that does not use the carrier. What configure
// returns serves its connections.
func serveHTTP3(t *testing.T, h http.HandlerFunc, configure func(*http3.Server) func(*quic.Conn) error) (url string, client *tls.Config) {
	t.Helper()
	config, client := newTLS(t)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := quic.ListenEarly(socket, http3.ConfigureTLSConfig(config), &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
	if err != nil {
		t.Fatal(err)
	}
	serve := configure(&http3.Server{Handler: h})
	t.Cleanup(func() {
		l.Close()
		socket.Close()
	})
	go func() {
		for {
			qconn, err := l.Accept(t.Context())
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { qconn.CloseWithError(0, "") })
			go serve(qconn)
		}
	}()
	return "https://" + socket.LocalAddr().String() + "/", client
}

// checkEcho fails t if bytes do not pass between the ends of a connection.
func checkEcho(t *testing.T, client, server carrier.Conn) {
	t.Helper()
	echoed := start(func() error { _, err := io.CopyN(server, server, 5); return err })
	got := make([]byte, 5)
	if _, err := io.WriteString(client, "hello"); err != nil {
		t.Fatalf("Write: %v", err)
	}
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "hello" {
		t.Fatalf("Read returned %q, %v", got, err)
	}
	if err := await.From(t, "echo", echoed); err != nil {
		t.Fatalf("echo: %v", err)
	}
}
