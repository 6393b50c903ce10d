package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// A wslisConn is a WebSocket as wslis uses it: binary messages whose
// boundaries mean nothing, one for each Write.
type wslisConn struct {
	*websocket.Conn
	message io.Reader
}

func (c *wslisConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			var err error
			if _, c.message, err = c.NextReader(); err != nil {
				return 0, err
			}
		}
		n, err := c.message.Read(p)
		if err == io.EOF {
			c.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

func (c *wslisConn) Write(p []byte) (int, error) {
	if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *wslisConn) SetDeadline(t time.Time) error {
	return c.NetConn().SetDeadline(t)
}

// wslisConfig is yamux's default, silenced.
func wslisConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	return c
}

// wslisListen is the client of wslis.
func wslisListen(url string, header http.Header) (net.Listener, error) {
	c, _, err := websocket.DefaultDialer.Dial(strings.Replace(url, "http", "ws", 1), header)
	if err != nil {
		return nil, err
	}
	return yamux.Server(&wslisConn{Conn: c}, wslisConfig())
}

// wslisServer is the server of wslis. It calls handle with each client.
func wslisServer(handle func(*yamux.Session, http.Header)) http.Handler {
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		session, err := yamux.Client(&wslisConn{Conn: c}, wslisConfig())
		if err != nil {
			return
		}
		handle(session, r.Header)
	})
}

func TestWslisClient(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }))
	defer srv.Close()
	lis, err := wslisListen(srv.URL, http.Header{"Deviceid": {"123"}})
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go serveEcho(lis)

	d := <-dialers
	if got := d.Header.Get("DeviceId"); got != "123" {
		t.Errorf("DeviceId %q", got)
	}
	for range 20 {
		echoes(t, d, 300_000)
	}
	if got := d.Info(); got.Mux != "yamux" || got.Protocol != "" {
		t.Errorf("info %+v, want yamux, not negotiated", got)
	}
	d.Close()
}

func TestWslisServer(t *testing.T) {
	leak.Check(t)
	sessions := make(chan *yamux.Session, 1)
	srv := httptest.NewServer(wslisServer(func(s *yamux.Session, h http.Header) {
		if got := h.Get("DeviceId"); got != "123" {
			t.Errorf("DeviceId %q", got)
		}
		sessions <- s
	}))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, http.Header{"Deviceid": {"123"}})
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go serveEcho(lis)

	s := <-sessions
	defer s.Close()
	for range 20 {
		echoes(t, dialFunc(s.Open), 300_000)
	}
	if got := lis.(*transport.Listener).Info(); got.Mux != "yamux" || got.Protocol != "" {
		t.Errorf("info %+v, want yamux, not negotiated", got)
	}
}

func TestWslisIsRefused(t *testing.T) {
	leak.Check(t)
	srv := httptest.NewServer(serverFunc(t, nil, transport.WithRequireNegotiation()))
	defer srv.Close()
	if _, err := wslisListen(srv.URL, nil); err == nil {
		t.Error("a server that requires negotiation accepts a peer that does not")
	}

	old := httptest.NewServer(wslisServer(func(s *yamux.Session, _ http.Header) {
		<-s.CloseChan()
		s.Close()
	}))
	defer old.Close()
	_, err := transport.DialAndListen(old.URL, nil, transport.WithRequireNegotiation())
	if err == nil || !strings.Contains(err.Error(), "the peer does not negotiate") {
		t.Errorf("error %v, want that the peer does not negotiate", err)
	}
}

// TestWslisClientIsNotAsked shuts a server down that has a client of wslis: it hears
// nothing that it could not understand.
func TestWslisClientIsNotAsked(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	server := serverFunc(t, func(d *transport.Dialer) { dialers <- d })
	srv := httptest.NewServer(server)
	defer srv.Close()
	c, _, err := websocket.DefaultDialer.Dial(strings.Replace(srv.URL, "http", "ws", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	heard := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(&wslisConn{Conn: c})
		heard <- b
	}()
	await.From(t, "Dialer", dialers)
	if err := await.From(t, "end of Shutdown", shutdown(within(t), server)); err != nil {
		t.Error("shutdown:", err)
	}
	const headerSize, goAway = 12, 3
	for b := await.From(t, "end of the connection", heard); len(b) > 0; b = b[headerSize:] {
		if len(b) < headerSize || b[1] != goAway {
			t.Fatalf("heard %x, want a farewell only", b)
		}
	}
}

// In TestWslisClientLeaves a client takes no more streams, and only yamux can say so.
func TestWslisClientLeaves(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }))
	defer srv.Close()
	lis, err := wslisListen(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go serveEcho(lis)
	d := <-dialers
	echoes(t, d, 1000)
	if err := lis.(*yamux.Session).GoAway(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		var c net.Conn
		if c, err = d.Dial(); err == nil {
			c.Close()
		}
	}
	if !errors.Is(err, transport.ErrDraining) {
		t.Errorf("dial: %v, want transport.ErrDraining", err)
	}
	await.From(t, "Draining", d.Draining())
	if err := context.Cause(d.Dialable()); !errors.Is(err, transport.ErrDraining) {
		t.Errorf("dialable until %v, want transport.ErrDraining", err)
	}
	if err := d.Err(); err != nil {
		t.Error("the session has ended:", err)
	}
}
