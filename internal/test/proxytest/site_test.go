//go:build unix

package proxytest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A server is a server behind a proxy.
type server struct {
	*transport.Server
	addr    string
	dialers chan *transport.Dialer // of clients that have connected
}

// startServer starts a server. It is closed when t is done.
func startServer(t *testing.T, name string, opts ...transport.ServerOption) *server {
	t.Helper()
	dialers := make(chan *transport.Dialer, 100)
	s := startServerOf(t, name, transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }), opts...)
	s.dialers = dialers
	return s
}

// startServerOf is startServer with a handler of its own.
func startServerOf(t *testing.T, name string, h transport.EndpointHandler, opts ...transport.ServerOption) *server {
	t.Helper()
	opts = append([]transport.ServerOption{transport.WithMuxes(yamuxmux.New(), smuxmux.New(), qmux.New())}, opts...)
	s := transport.NewServer(h, opts...)
	routes := http.NewServeMux()
	routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nameKey{}, name)))
	})
	routes.HandleFunc("/away", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	routes.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Huge", strings.Repeat("x", 60<<10)) // as much as a device may send
	})
	routes.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	routes.HandleFunc("/name", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })
	around := httptest.NewServer(routes)
	t.Cleanup(func() {
		s.Close()
		around.Close()
	})
	return &server{Server: s, addr: around.Listener.Addr().String()}
}

type nameKey struct{}

// at is the name of the server that a client is connected to.
func at(d *transport.Dialer) string { return d.Context().Value(nameKey{}).(string) }

// asks is the name of a server that the proxy asks now, or "".
func (p *proxy) asks() string {
	_, name := p.get("/name")
	return name
}

// get returns the answer for a page, or 0 and "" if there is none.
func (p *proxy) get(path string) (status int, body string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Get("http://" + p.plain + path)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

// A way is how a client gets through a proxy.
type way struct {
	name   string
	scheme string
	muxer  mux.Muxer
}

// ways are all ways.
func ways() (all []way) {
	for _, scheme := range []string{"ws", "wss"} {
		for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()} {
			all = append(all, way{scheme + "-" + m.Name(), scheme, m})
		}
	}
	return all
}

// host is where clients that go this way connect.
func (p *proxy) host(w way) string {
	if w.scheme == "wss" {
		return p.secure
	}
	return p.plain
}

// listen connects a client. It is closed when t is done.
func (p *proxy) listen(t *testing.T, w way, header http.Header, opts ...transport.ClientOption) (*transport.Listener, error) {
	t.Helper()
	opts = append([]transport.ClientOption{transport.WithMuxes(w.muxer), transport.WithTLSConfig(p.trust)}, opts...)
	lis, err := transport.DialAndListenContext(t.Context(), fmt.Sprintf("%s://%s/", w.scheme, p.host(w)), header, opts...)
	if err == nil {
		t.Cleanup(func() { lis.Close() })
	}
	return lis, err
}

// connect connects a client to s.
func (p *proxy) connect(t *testing.T, w way, s *server, header http.Header, opts ...transport.ClientOption) (*transport.Listener, *transport.Dialer) {
	t.Helper()
	lis, err := p.listen(t, w, header, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lis, await.From(t, "the client", s.dialers)
}

// pair opens a connection, and returns both ends. They are closed when t is done.
func pair(t *testing.T, d *transport.Dialer, lis net.Listener) (far, near mux.Stream) {
	t.Helper()
	dialled, err := d.DialContext(t.Context(), "", "")
	if err != nil {
		t.Fatal("dial:", err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err := lis.Accept()
	if err != nil {
		t.Fatal("accept:", err)
	}
	t.Cleanup(func() { accepted.Close() })
	dialled.SetDeadline(time.Now().Add(patience))
	accepted.SetDeadline(time.Now().Add(patience))
	return dialled.(mux.Stream), accepted.(mux.Stream)
}

// pingPong sends something there and back, on an open connection.
func pingPong(t *testing.T, far, near net.Conn) {
	t.Helper()
	for _, way := range []struct{ from, to net.Conn }{{far, near}, {near, far}} {
		const text = "are you there?"
		if _, err := io.WriteString(way.from, text); err != nil {
			t.Error("write:", err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(way.to, got); err != nil || string(got) != text {
			t.Errorf("read %q, %v", got, err)
		}
	}
}
