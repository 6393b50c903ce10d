package webtransport_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// TestOneRequestOfAConnection lets a client ask for many sessions over a few connections,
// without its SETTINGS: none of that may occupy the handler, which answers others.
func TestOneRequestOfAConnection(t *testing.T) {
	leak.Parallel(t)
	const conns, requests = 3, 20
	c := webtransport.New()
	var entered atomic.Int32
	s := listen(t, c, func(w http.ResponseWriter, r *http.Request) {
		entered.Add(1)
		if conn, err := c.Upgrade(w, r, ""); err == nil {
			conn.Close()
		}
	})
	statuses := make(chan string, conns*requests)
	for range conns {
		conn := s.dialQUIC(t)
		for range requests {
			request := ask(t, conn, "webtransport-h3")
			go func() { statuses <- statusOf(request) }()
		}
	}
	for range conns * (requests - 1) {
		if got := await.From(t, "the answer to one request of many", statuses); got != "503" {
			t.Errorf("one request of many is answered %s, want 503", got)
		}
	}
	if n := entered.Load(); n > 0 {
		t.Errorf("%d requests without SETTINGS got to the handler at once", n)
	}
	s.dial(t, c)
	for range conns {
		await.From(t, "the answer to a request without SETTINGS", statuses)
	}
	if n := entered.Load(); n != conns+1 {
		t.Errorf("%d requests got to the handler, want %d", n, conns+1)
	}
}

// TestRequestAfterRequest lets a client ask again on a connection whose first request has
// been refused, and while the handler stays with the next session.
func TestRequestAfterRequest(t *testing.T) {
	leak.Check(t)
	c := webtransport.New()
	stay := make(chan struct{})
	defer close(stay)
	var entered atomic.Int32
	s := listen(t, c, func(w http.ResponseWriter, r *http.Request) {
		if entered.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusForbidden)
			return
		}
		if conn, err := c.Upgrade(w, r, ""); err == nil {
			defer conn.Close()
			<-stay
		}
	})
	conn := s.dialQUIC(t)
	control, err := conn.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	// The control stream's type, and SETTINGS with H3_DATAGRAM and WT_MAX_SESSIONS' flow control.
	control.Write([]byte{0, 4, 2, 0x33, 1})
	for _, want := range []string{"403", "200"} {
		if got := statusOf(ask(t, conn, "webtransport-h3")); got != want {
			t.Fatalf("status %s, want %s", got, want)
		}
	}
	for entered.Load() < 3 {
		request, status := ask(t, conn, "webtransport-h3"), make(chan string, 1)
		go func() { status <- statusOf(request) }()
		await.Until(t, "a third request in the handler", func() bool { return entered.Load() == 3 || len(status) > 0 })
		// Upgrade has answered the request before this one, and may not have returned.
		if len(status) > 0 && entered.Load() < 3 && <-status != "503" {
			t.Fatal("a third request does not get to the handler")
		}
	}
}

// TestWaitingEnds uses clients that never finish a request, at first or after a refused
// one.
func TestWaitingEnds(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, *quic.Conn){
		"Silent":     func(*testing.T, *quic.Conn) {},
		"HalfHeader": halfHeader,
		"Refused": func(t *testing.T, conn *quic.Conn) {
			if got := statusOf(ask(t, conn, "other")); got != "404" {
				t.Errorf("status %s, want 404", got)
			}
			halfHeader(t, conn)
		},
		"NoSettings": func(t *testing.T, conn *quic.Conn) { ask(t, conn, "webtransport-h3") },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Parallel(t)
			c := webtransport.New()
			s := listenLimited(t, c, 100, time.Minute)
			session := s.dial(t, c)
			s.Endpoint.(carrier.HandshakeLimiter).LimitHandshakes(100, time.Second)
			conn := s.dialQUIC(t)
			began := time.Now()
			begin(t, conn)
			await.From(t, "end of the connection", conn.Context().Done())
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("connection has ended after %v, want a second or so", took)
			}
			if _, err := session.OpenStream(t.Context()); err != nil {
				t.Error("a client with a session: ", err)
			}
		})
	}
}

// listenLimited is listen, with limits, and a handler that keeps sessions.
func listenLimited(t *testing.T, c *webtransport.Carrier, most int, timeout time.Duration) *server {
	t.Helper()
	config, client := newTLS(t)
	e, err := c.Listen("127.0.0.1:0", config, keeping(t, c))
	if err != nil {
		t.Fatal(err)
	}
	e.(carrier.HandshakeLimiter).LimitHandshakes(most, timeout)
	return run(t, e, client)
}

// keeping returns a handler that upgrades, and keeps the connections until t ends.
func keeping(t *testing.T, c *webtransport.Carrier) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := c.Offer(r); !ok {
			http.NotFound(w, r)
			return
		}
		if conn, err := c.Upgrade(w, r, ""); err == nil {
			context.AfterFunc(t.Context(), func() { conn.Close() })
		}
	})
}

// halfHeader sends the beginning of a request.
func halfHeader(t *testing.T, conn *quic.Conn) {
	t.Helper()
	request, err := conn.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	request.Write(quicvarint.Append(quicvarint.Append(nil, headersFrame), 10000))
}

// TestLongestWaitingGoes uses more clients without a request than the limit.
func TestLongestWaitingGoes(t *testing.T) {
	leak.Check(t)
	c := webtransport.New()
	s := listenLimited(t, c, 3, time.Minute)
	session := s.dial(t, c)
	var waiting []*quic.Conn
	for range 5 {
		conn := s.dialQUIC(t)
		halfHeader(t, conn)
		waiting = append(waiting, conn)
	}
	s.dial(t, c)
	for _, conn := range waiting[:2] {
		await.From(t, "end of those that have waited longest", conn.Context().Done())
	}
	for _, conn := range waiting[3:] {
		if err := conn.Context().Err(); err != nil {
			t.Error("one that has come later: ", context.Cause(conn.Context()))
		}
	}
	if _, err := session.OpenStream(t.Context()); err != nil {
		t.Error("a client with a session: ", err)
	}
}

// TestUnverifiedAddresses starts more handshakes than a server accepts without verifying
// addresses, and does not answer the verification.
func TestUnverifiedAddresses(t *testing.T) {
	leak.Check(t)
	const clients, believed = 200, 64
	config, client := newTLS(t)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := webtransport.New()
	var opened atomic.Int32
	e, err := c.ListenHTTP3(&http3.Server{TLSConfig: config, Handler: keeping(t, c), ConnContext: func(ctx context.Context, _ *quic.Conn) context.Context {
		opened.Add(1)
		return ctx
	}}, socket)
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, e, client)

	tls := client.Clone()
	tls.NextProtos, tls.ServerName = []string{http3.NextProtoH3}, "127.0.0.1"
	ctx, cancel := context.WithCancel(t.Context())
	var deaf sync.WaitGroup
	for range clients {
		socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		deaf.Go(func() {
			defer socket.Close()
			if _, err := quic.Dial(ctx, deafSocket{socket}, s.Addr(), tls, nil); err == nil {
				t.Error("a client that hears nothing is connected")
			}
		})
	}
	await.Until(t, "connections that are believed", func() bool { return opened.Load() >= believed })
	s.dial(t, c) // which hears that it has to prove its address
	cancel()
	deaf.Wait()
	if n := opened.Load(); n > believed+1 {
		t.Errorf("%d connections with unverified addresses, want %d at most", n-1, believed)
	}
}

// A deafSocket sends, and receives nothing.
type deafSocket struct{ net.PacketConn }

func (s deafSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		if _, _, err := s.PacketConn.ReadFrom(p); err != nil {
			return 0, nil, err
		}
	}
}
