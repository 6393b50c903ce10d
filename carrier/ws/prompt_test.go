//go:build linux || darwin

package ws_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
)

// TestPrompt expects both ends of a connection to write without waiting, unless it uses
// TLS, or gorilla's framing.
func TestPrompt(t *testing.T) {
	leak.Check(t)
	for _, test := range []struct {
		name   string
		c      *ws.Carrier
		secure bool
		want   bool
	}{
		{"ws", ws.New(), false, true},
		{"wss", ws.New(), true, false},
		{"gorilla", ws.New(ws.WithGorillaFraming()), false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := upgraded(t, test.c, test.secure)
			for name, conn := range map[string]carrier.Conn{"server": server, "client": client} {
				if _, got := conn.(carrier.PromptWriter); got != test.want {
					t.Errorf("the %s's connection is a PromptWriter: %v, want %v", name, got, test.want)
				}
			}
		})
	}
}

// upgraded returns both ends of a connection.
func upgraded(t *testing.T, c *ws.Carrier, secure bool) (server, client carrier.Conn) {
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
	if secure {
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
