//go:build linux || darwin

package ws_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
)

// TestPrompt expects the ends of a connection to write without waiting, unless gorilla does
// the framing, or net/http has made the connection below TLS.
func TestPrompt(t *testing.T) {
	leak.Check(t)
	for _, test := range []struct {
		name   string
		c      *ws.Carrier
		below  func(net.Listener) net.Listener // nil: no TLS
		server bool
		client bool
	}{
		{"ws", ws.New(), nil, true, true},
		{"wss", ws.New(), ws.BelowTLS, true, true},
		{"wss of net/http", ws.New(), func(ln net.Listener) net.Listener { return ln }, false, true},
		{"gorilla", ws.New(ws.WithGorillaFraming()), nil, false, false},
		{"gorilla, wss", ws.New(ws.WithGorillaFraming()), ws.BelowTLS, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := upgraded(t, test.c, test.below)
			if _, got := server.(carrier.PromptWriter); got != test.server {
				t.Errorf("the server's connection is a PromptWriter: %v, want %v", got, test.server)
			}
			if _, got := client.(carrier.PromptWriter); got != test.client {
				t.Errorf("the client's connection is a PromptWriter: %v, want %v", got, test.client)
			}
		})
	}
}

// upgraded returns both ends of a connection, with TLS on what below returns.
func upgraded(t *testing.T, c *ws.Carrier, below func(net.Listener) net.Listener) (server, client carrier.Conn) {
	t.Helper()
	conns := make(chan carrier.Conn, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := c.Upgrade(w, r, "")
		if err != nil {
			t.Error(err)
		}
		conns <- conn
	}))
	request := &carrier.Request{}
	if below != nil {
		srv.Listener = below(srv.Listener)
		srv.StartTLS()
		request.TLS = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	var err error
	if request.URL, err = url.Parse(srv.URL); err != nil {
		t.Fatal(err)
	}
	if client, err = c.Dial(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	server = <-conns
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

// TestHeaderAlong expects what reads the rest of a large message to read the next one too,
// as far as it has arrived: its header would take a system call of its own.
func TestHeaderAlong(t *testing.T) {
	leak.Check(t)
	server, client := upgraded(t, ws.New(), nil)
	large := bytes.Repeat([]byte("0123456789abcdef"), 512)
	for _, test := range []struct {
		name     string
		from, to carrier.Conn
		read     func(c carrier.Conn, p []byte) (int, error)
	}{
		{"to client", server, client, carrier.Conn.Read},
		{"to server", client, server, carrier.Conn.Read},
		{"to client, now", server, client, readNow},
		{"to server, now", client, server, readNow},
	} {
		t.Run(test.name, func(t *testing.T) {
			from, to := test.from.(carrier.MessageConn), test.to.(carrier.MessageConn)
			for range 100 { // the second message may arrive later
				if err := from.WriteMessages(large, []byte("next")); err != nil {
					t.Fatal(err)
				}
				want(t, to, large, test.read)
				along := to.(carrier.PromptReader).Arrive(false)
				want(t, to, []byte("next"), carrier.Conn.Read)
				if along {
					return
				}
			}
			t.Error("the next message is never read along")
		})
	}
}

func readNow(c carrier.Conn, p []byte) (int, error) {
	if n := c.(carrier.PromptReader).ReadNow(p); n > 0 {
		return n, nil
	}
	return c.Read(p[:1])
}

// want reads a message with read.
func want(t *testing.T, c carrier.MessageConn, message []byte, read func(carrier.Conn, []byte) (int, error)) {
	t.Helper()
	size, err := c.NextMessage(len(message))
	if err != nil || size != len(message) {
		t.Fatalf("a message of %d bytes, %v, want %d", size, err, len(message))
	}
	got := make([]byte, size)
	for n := 0; n < size; {
		m, err := read(c, got[n:])
		if n += m; err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, message) {
		t.Error("the message is not what was sent")
	}
}
