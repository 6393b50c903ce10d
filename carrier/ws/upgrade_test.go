package ws_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/leak"
)

// opening returns a request that opens a WebSocket, changed by changes: a
// header without values is removed.
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
		`ws: upgrade: origin "http://evil.example" is not allowed`,
	}, {
		"OpaqueOrigin", ws.WithCheckOrigin(nil), opening(http.Header{"Origin": {"null"}}), "", http.StatusForbidden,
		`ws: upgrade: origin "null" is not allowed`,
	}, {
		"SameOrigin", ws.WithCheckOrigin(nil), opening(http.Header{"Origin": {"https://Server.example"}}), "", http.StatusInternalServerError,
		`ws: upgrade: cannot take over the connection: feature not supported`,
	}, {
		"AnyOrigin", ws.WithCheckOrigin(anyOrigin), opening(http.Header{"Origin": {"http://evil.example"}}), "", http.StatusInternalServerError,
		`ws: upgrade: cannot take over the connection: feature not supported`,
	}, {
		"NoOrigin", ws.WithCheckOrigin(noOrigin), opening(nil), "", http.StatusForbidden,
		`ws: upgrade: origin "" is not allowed`,
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
			if answer.Code != test.status {
				t.Errorf("Upgrade answered with status %d, want %d", answer.Code, test.status)
			}
		})
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
