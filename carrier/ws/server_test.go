package ws_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
)

// patience bounds what must happen, on a loaded machine.
const patience = 10 * time.Second

// dial dials rawURL with a deadline.
func dial(t *testing.T, c *ws.Carrier, rawURL string, header http.Header) (carrier.Conn, error) {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := c.Dial(ctx, &carrier.Request{URL: u, Header: header})
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// serveHTTP starts an HTTP server and returns its address.
func serveHTTP(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// serveTLS is serveHTTP with a certificate that nobody trusts.
func serveTLS(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// serveRaw starts a TCP server and returns its address. Connections are closed
// when handle returns, and when t ends.
func serveRaw(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer context.AfterFunc(t.Context(), func() { conn.Close() })()
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// closedAddr returns an address at which nothing listens.
func closedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// answering returns a handler that reads a request and answers with text.
func answering(text string) func(net.Conn) {
	return func(conn net.Conn) {
		conn.Read(make([]byte, 4<<10))
		io.WriteString(conn, text)
	}
}

// silent reads and does not answer.
func silent(conn net.Conn) { io.Copy(io.Discard, conn) }

// serveEcho starts a server that echoes everything and returns its address.
func serveEcho(t *testing.T) string {
	t.Helper()
	return serveHTTP(t, echoHandler)
}

func echoHandler(w http.ResponseWriter, r *http.Request) {
	conn, err := ws.New().Upgrade(w, r, "")
	if err != nil {
		return
	}
	defer conn.Close()
	io.Copy(conn, conn)
}

// checkEcho fails t if conn does not lead to a server that echoes.
func checkEcho(t *testing.T, conn carrier.Conn) {
	t.Helper()
	const message = "hello, echo"
	if _, err := io.WriteString(conn, message); err != nil {
		t.Fatalf("Write: %v", err)
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != message {
		t.Fatalf("Read returned %q, %v, want %q", got, err, message)
	}
}
