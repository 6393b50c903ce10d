package transport_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/transport"
)

// patience bounds what has to happen, on a loaded machine.
const patience = 20 * time.Second

// awaitListening waits until something listens on addr.
func awaitListening(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
	}
	t.Fatal("nothing listens on", addr)
}

// serverFunc returns a server that is closed when t is done. handle may be
// nil.
func serverFunc(t *testing.T, handle func(*transport.Dialer), opts ...transport.ServerOption) *transport.Server {
	s := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) {
		if handle != nil {
			handle(d)
		}
	}), opts...)
	t.Cleanup(func() { s.Close() })
	return s
}

// serveEcho writes back what it reads on every connection.
func serveEcho(lis net.Listener) {
	for {
		c, err := lis.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

type dialer interface{ Dial() (net.Conn, error) }

type dialFunc func() (net.Conn, error)

func (f dialFunc) Dial() (net.Conn, error) { return f() }

// echoes expects that size bytes come back.
func echoes(t *testing.T, d dialer, size int) {
	t.Helper()
	c, err := d.Dial()
	if err != nil {
		t.Fatal("dial:", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	sent, got := bytes.Repeat([]byte("x"), size), make([]byte, size)
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		written <- err
	}()
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("echo: %d of %d bytes, %v", n, size, err)
	}
	if err := <-written; err != nil { // which may return after the peer has answered
		t.Fatal("write:", err)
	}
}

// within returns a context that ends when patience does.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// quiet is for servers that expect bad clients.
var quiet = log.New(io.Discard, "", 0)

// A syncBuffer is a buffer that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// textLogger logs to b.
func textLogger(b *syncBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// visit requests url as a browser does.
func visit(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		t.Error("get:", err)
		return
	}
	answer.Body.Close()
}
