//go:build linux || darwin

package ws_test

import (
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
