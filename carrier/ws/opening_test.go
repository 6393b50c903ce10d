package ws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/leak"
)

// TestOpening makes requests, and has a server of package net/http parse them.
func TestOpening(t *testing.T) {
	target := &url.URL{Scheme: "ws", Host: "server.example:81", Path: "/a b", RawQuery: "q=1"}
	for _, test := range []struct {
		name      string
		header    http.Header
		protocols []string
		want      string // fields
		err       string
	}{
		{"Plain", nil, nil, "GET /a%20b?q=1 server.example:81", ""},
		{"Protocols", nil, []string{"one", "two"}, "GET /a%20b?q=1 server.example:81 Sec-Websocket-Protocol=one, two", ""},
		{"Host", http.Header{"Host": {"other.example"}}, nil, "GET /a%20b?q=1 other.example", ""},
		{"Header", http.Header{"X-Own": {"1"}}, nil, "GET /a%20b?q=1 server.example:81 X-Own=1", ""},
		{"Lines", http.Header{"X-Own": {"1\r\nX-Injected: 2"}}, nil, "GET /a%20b?q=1 server.example:81 X-Own=1  X-Injected: 2", ""},
		{"OwnProtocol", http.Header{"Sec-Websocket-Protocol": {"own"}}, nil, "GET /a%20b?q=1 server.example:81 Sec-Websocket-Protocol=own", ""},
		{"TwoProtocols", http.Header{"Sec-Websocket-Protocol": {"own"}}, []string{"one"}, "", "header Sec-Websocket-Protocol belongs to the handshake"},
		{"Key", http.Header{"Sec-Websocket-Key": {"own"}}, nil, "", "header Sec-Websocket-Key belongs to the handshake"},
		{"Extensions", http.Header{"Sec-Websocket-Extensions": {"own"}}, nil, "", "header Sec-Websocket-Extensions belongs to the handshake"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			request, _, err := openingFor(target, &carrier.Request{URL: target, Header: test.header, Protocols: test.protocols})
			if err != nil || test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			got := make(chan string, 1)
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				said := []string{r.Method, r.RequestURI, r.Host}
				for _, name := range []string{"X-Own", "X-Injected", "Sec-Websocket-Protocol"} {
					if v := r.Header.Get(name); v != "" {
						said = append(said, name+"="+v)
					}
				}
				if !isOpening(r) {
					said = append(said, "opens nothing")
				}
				got <- strings.Join(said, " ")
			}))
			defer s.Close()
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			counting := &writeCounter{Conn: conn}
			if _, err := exchange(counting, request); err != nil {
				t.Fatal(err)
			}
			if said := <-got; said != test.want {
				t.Errorf("the server gets\n%s, want\n%s", said, test.want)
			}
			if counting.writes != 1 {
				t.Errorf("the request leaves in %d writes", counting.writes)
			}
		})
	}
}

// A writeCounter counts writes.
type writeCounter struct {
	net.Conn
	writes int
}

func (c *writeCounter) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

// TestOpeningAllocations makes WebSockets, and counts what both ends allocate, with package
// net/http and the sockets.
func TestOpeningAllocations(t *testing.T) {
	if PoolsForget() {
		t.Skip("under the race detector, pools forget what they are given")
	}
	leak.Check(t)
	c := New(WithProxy(nil))
	upgraded := make(chan carrier.Conn, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := c.Upgrade(w, r, "")
		if err != nil {
			t.Error(err)
		}
		upgraded <- conn
	}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	n := testing.AllocsPerRun(100, func() {
		conn, err := c.Dial(context.Background(), &carrier.Request{URL: u})
		if err != nil {
			failed = err
			return
		}
		conn.Close()
		failed = errors.Join(failed, (<-upgraded).Close())
	})
	if failed != nil {
		t.Fatal(failed)
	}
	if most := 150.; n > most {
		t.Errorf("%.0f allocations, want %.0f at most", n, most)
	}
	t.Logf("%.0f allocations", n)
}
