package ws_test

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
)

// opening returns a request that opens a WebSocket, changed by changes: a header without
// values is removed.
func opening(changes http.Header) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://server.example/", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	maps.Copy(r.Header, changes)
	return r
}

func TestUpgradeFails(t *testing.T) {
	post := opening(nil)
	post.Method = http.MethodPost
	anyOrigin := func(*http.Request) bool { return true }
	noOrigin := func(*http.Request) bool { return false }
	for _, test := range []struct {
		name     string
		option   ws.Option
		request  *http.Request
		protocol string
		status   int
		want     string
	}{{
		"Hijack", ws.WithCheckOrigin(nil), opening(nil), "", http.StatusInternalServerError,
		`ws: upgrade: cannot take over the connection: feature not supported`,
	}, {
		"Origin", ws.WithCheckOrigin(nil), opening(http.Header{"Origin": {"http://evil.example"}}), "", http.StatusForbidden,
		`ws: upgrade: origin not allowed: "http://evil.example"`,
	}, {
		"OpaqueOrigin", ws.WithCheckOrigin(nil), opening(http.Header{"Origin": {"null"}}), "", http.StatusForbidden,
		`ws: upgrade: origin not allowed: "null"`,
	}, {
		"SameOrigin", ws.WithCheckOrigin(nil), opening(http.Header{"Origin": {"https://Server.example"}}), "", http.StatusInternalServerError,
		`ws: upgrade: cannot take over the connection: feature not supported`,
	}, {
		"AnyOrigin", ws.WithCheckOrigin(anyOrigin), opening(http.Header{"Origin": {"http://evil.example"}}), "", http.StatusInternalServerError,
		`ws: upgrade: cannot take over the connection: feature not supported`,
	}, {
		"OriginListed", ws.WithAllowedOrigins("http://good.example"), opening(http.Header{"Origin": {"http://good.example"}}), "", http.StatusInternalServerError,
		`ws: upgrade: cannot take over the connection: feature not supported`,
	}, {
		"OriginNotListed", ws.WithAllowedOrigins("http://good.example"), opening(http.Header{"Origin": {"http://evil.example"}}), "", http.StatusForbidden,
		`ws: upgrade: origin not allowed: "http://evil.example"`,
	}, {
		"NoOrigin", ws.WithCheckOrigin(noOrigin), opening(nil), "", http.StatusForbidden,
		`ws: upgrade: origin not allowed: ""`,
	}, {
		"Method", ws.WithCheckOrigin(nil), post, "", http.StatusMethodNotAllowed,
		`ws: upgrade: websocket: the client is not using the websocket protocol: request method is not GET`,
	}, {
		"Version", ws.WithCheckOrigin(nil), opening(http.Header{"Sec-Websocket-Version": {"8"}}), "", http.StatusBadRequest,
		`ws: upgrade: websocket: unsupported version: 13 not found in 'Sec-Websocket-Version' header`,
	}, {
		"Key", ws.WithCheckOrigin(nil), opening(http.Header{"Sec-Websocket-Key": nil}), "", http.StatusBadRequest,
		`ws: upgrade: websocket: not a websocket handshake: 'Sec-WebSocket-Key' header must be Base64 encoded value of 16-byte in length`,
	}, {
		"Protocol", ws.WithCheckOrigin(nil), opening(http.Header{"Sec-Websocket-Protocol": {"one, two"}}), "three", http.StatusInternalServerError,
		`ws: upgrade: protocol "three" was not offered`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			_, err := ws.New(test.option).Upgrade(answer, test.request, test.protocol)
			if err == nil || err.Error() != test.want {
				t.Errorf("Upgrade returned\n%v, want\n%v", err, test.want)
			}
			if got := answer.Header().Get("Connection"); got != "close" {
				t.Errorf("answer with Connection: %q, want close", got)
			}
			if answer.Code != test.status {
				t.Errorf("Upgrade answered with status %d, want %d", answer.Code, test.status)
			}
		})
	}
}

// TestOldHTTP asks for a WebSocket over HTTP/1.0, which does not have Upgrade.
func TestOldHTTP(t *testing.T) {
	r := opening(nil)
	if _, ok := ws.New().Offer(r); !ok {
		t.Error("Offer does not know a request of HTTP/1.1")
	}
	r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	if _, ok := ws.New().Offer(r); ok {
		t.Error("Offer took a request of HTTP/1.0")
	}
}

// An HTTP/2 request has no connection that could be taken over.
func TestUpgradeHTTP2(t *testing.T) {
	leak.Check(t)
	c := ws.New()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := c.Offer(r); ok {
			t.Error("Offer took an HTTP/2 request for one of its own")
		}
		if _, err := c.Upgrade(w, r, ""); err == nil || !strings.HasPrefix(err.Error(), "ws: upgrade: ") {
			t.Errorf("Upgrade returned %v", err)
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	answer, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.ProtoMajor != 2 || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("server answered %s %s, want HTTP/2 and status 400", answer.Proto, answer.Status)
	}
}

// A wrapped is a ResponseWriter as middleware makes them.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestUpgradeBehindMiddleware(t *testing.T) {
	leak.Check(t)
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { echoHandler(wrapped{w}, r) })
	conn, err := dial(t, ws.New(), "ws://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkEcho(t, conn)
}

// TestUpgradeHeader sends a header along with the answer.
func TestUpgradeHeader(t *testing.T) {
	leak.Check(t)
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Alt-Svc", `h3=":443"`)
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2\r\nX-Injected: value")
		h["x-lower"] = []string{"case"}
		h.Set("Connection", "close, X-Hop")
		h.Set("X-Hop", "no")
		h.Set("Upgrade", "no")
		h.Set("Transfer-Encoding", "chunked")
		h.Set("Content-Length", "5")
		h.Set("Content-Type", "text/plain")
		h.Set("Sec-WebSocket-Extensions", "permessage-deflate")
		h.Set("Sec-WebSocket-Protocol", "injected")
		h["sec-websocket-accept"] = []string{"injected"}
		h["X\r\nX-Injected"] = []string{"name"}
		h["X-Injected: name"] = []string{"name"}
		h[http.TrailerPrefix+"X-Injected"] = []string{"trailer"}
		echoHandler(w, r)
	})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := opening(http.Header{"Sec-Websocket-Protocol": {"offered"}})
	if err := request.Write(conn); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101", answer.StatusCode)
	}
	want := http.Header{
		"Alt-Svc":              {`h3=":443"`},
		"Set-Cookie":           {"a=1", "b=2  X-Injected: value"},
		"X-Lower":              {"case"},
		"Connection":           {"Upgrade"},
		"Upgrade":              {"websocket"},
		"Sec-Websocket-Accept": {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
	}
	got := answer.Header
	if p := got.Get("Sec-Websocket-Protocol"); p == "injected" {
		t.Errorf("protocol %q was not chosen", p)
	}
	got.Del("Sec-Websocket-Protocol")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("header\n%q, want\n%q", got, want)
	}
}
