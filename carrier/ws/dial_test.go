package ws_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
)

// A failure is a Dial that cannot succeed, and its error.
type failure struct {
	name   string
	start  func(t *testing.T) string // returns the address of a server
	url    string                    // with ADDR for that address
	option ws.Option
	want   string
	match  func(error) bool
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isRejection(status int) func(error) bool {
	return func(err error) bool {
		rejected, ok := errors.AsType[*carrier.RejectedError](err)
		return ok && rejected.StatusCode == status
	}
}

func nowhere(*testing.T) string { return "" }

func answers(status int, body string) func(*testing.T) string {
	return func(t *testing.T) string {
		return serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
}

func raw(handle func(net.Conn)) func(*testing.T) string {
	return func(t *testing.T) string { return serveRaw(t, handle) }
}

var failures = []failure{{
	name:  "Scheme",
	start: nowhere,
	url:   "ftp://server/path",
	want:  `ws: dial ftp://server/path: unsupported URL scheme "ftp", want ws, wss, http or https`,
	match: is(carrier.ErrScheme),
}, {
	name:  "NoHost",
	start: nowhere,
	url:   "ws:///path",
	want:  `ws: dial ws:///path: URL has no host`,
}, {
	name:  "Unreachable",
	start: closedAddr,
	url:   "ws://ADDR",
	want:  `ws: dial ws://ADDR: dial tcp ADDR: connect: connection refused`,
	match: is(syscall.ECONNREFUSED),
}, {
	name:  "PasswordIsNotShown",
	start: closedAddr,
	url:   "ws://me:secret@ADDR/",
	want:  `ws: dial ws://xxxxx@ADDR/: dial tcp ADDR: connect: connection refused`,
}, {
	name:  "UnknownCertificate",
	start: func(t *testing.T) string { return serveTLS(t, echoHandler) },
	url:   "wss://ADDR/",
	want:  `ws: dial wss://ADDR/: handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority`,
	match: func(err error) bool {
		_, ok := errors.AsType[x509.UnknownAuthorityError](err)
		return ok
	},
}, {
	name:  "NoTLS",
	start: serveEcho,
	url:   "https://ADDR/",
	want:  `ws: dial https://ADDR/: handshake: tls: first record does not look like a TLS handshake`,
}, {
	name:  "Page",
	start: answers(http.StatusOK, "<html>"),
	url:   "http://ADDR/",
	want:  `ws: dial http://ADDR/: server answered 200 OK: "<html>"`,
	match: isRejection(http.StatusOK),
}, {
	name:  "NotFound",
	start: answers(http.StatusNotFound, "404 page not found\n"),
	url:   "ws://ADDR/missing",
	want:  `ws: dial ws://ADDR/missing: server answered 404 Not Found: "404 page not found"`,
	match: isRejection(http.StatusNotFound),
}, {
	name:  "Unauthorized",
	start: answers(http.StatusUnauthorized, ""),
	url:   "ws://ADDR/",
	want:  `ws: dial ws://ADDR/: server answered 401 Unauthorized`,
	match: isRejection(http.StatusUnauthorized),
}, {
	name: "Redirect",
	start: func(t *testing.T) string {
		return serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(http.StatusFound)
		})
	},
	url:   "ws://ADDR/",
	want:  `ws: dial ws://ADDR/: server answered 302 Found to "/login" (redirects are not followed)`,
	match: isRejection(http.StatusFound),
}, {
	name:  "WrongAcceptKey",
	start: raw(answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n")),
	url:   "ws://ADDR/",
	want:  `ws: dial ws://ADDR/: not a WebSocket handshake: server answered 101 Switching Protocols`,
	match: isRejection(http.StatusSwitchingProtocols),
}, {
	name:  "NotHTTP",
	start: raw(answering("SSH-2.0-OpenSSH_9.9\r\n")),
	url:   "ws://ADDR/",
	want:  `ws: dial ws://ADDR/: handshake: malformed HTTP response "SSH-2.0-OpenSSH_9.9"`,
}, {
	name:  "MuchThatIsNotHTTP",
	start: raw(answering(strings.Repeat("a", 100<<10) + "\r\n")),
	url:   "ws://ADDR/",
	want:  `ws: dial ws://ADDR/: handshake: malformed HTTP response "` + strings.Repeat("a", 275) + "…",
}, {
	name:  "HangsUp",
	start: raw(answering("")),
	url:   "ws://ADDR/",
	want:  `ws: dial ws://ADDR/: handshake: unexpected EOF`,
	match: is(io.ErrUnexpectedEOF),
}, {
	name: "EndlessHeader",
	start: raw(func(conn net.Conn) {
		_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n")
		for err == nil {
			_, err = io.WriteString(conn, "X-More: and more\r\n")
		}
	}),
	url:  "ws://ADDR/",
	want: `ws: dial ws://ADDR/: handshake: server sent more than 128 KiB without completing the handshake`,
}, {
	name:   "NoAnswer",
	start:  raw(silent),
	url:    "ws://ADDR/",
	option: ws.WithHandshakeTimeout(50 * time.Millisecond),
	want:   `ws: dial ws://ADDR/: no handshake within 50ms: context deadline exceeded`,
	match:  is(context.DeadlineExceeded),
}}

func TestDialFails(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			leak.Check(t)
			addr := f.start(t)
			options := []ws.Option{ws.WithProxy(nil)}
			if f.option != nil {
				options = append(options, f.option)
			}
			_, err := dial(t, ws.New(options...), strings.ReplaceAll(f.url, "ADDR", addr), nil)
			if want := strings.ReplaceAll(f.want, "ADDR", addr); err == nil || err.Error() != want {
				t.Fatalf("Dial returned\n%v, want\n%v", err, want)
			}
			if f.match != nil && !f.match(err) {
				t.Errorf("the error does not keep its cause: %#v", err)
			}
		})
	}
}

// A context may end at any stage of a Dial.
func TestDialCancelled(t *testing.T) {
	for _, stage := range []struct{ name, server, proxy string }{
		{"Response", "ws://ADDR", ""},
		{"TLS", "wss://ADDR", ""},
		{"HTTPProxy", "ws://device.example", "http://ADDR"},
		{"HTTPSProxy", "ws://device.example", "https://ADDR"},
		{"SOCKSProxy", "ws://device.example", "socks5://ADDR"},
	} {
		t.Run(stage.name, func(t *testing.T) {
			leak.Check(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			reason := errors.New("changed my mind")
			addr := serveRaw(t, func(conn net.Conn) {
				conn.Read(make([]byte, 1)) // the client waits for us now
				cancel(reason)
				silent(conn)
			})
			c := ws.New(ws.WithProxy(fixed(strings.ReplaceAll(stage.proxy, "ADDR", addr))))
			u, err := url.Parse(strings.ReplaceAll(stage.server, "ADDR", addr))
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Dial(ctx, &carrier.Request{URL: u})
			if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
				t.Errorf("Dial returned %v, want %v, %v", err, context.Canceled, reason)
			}
		})
	}
}

func TestDialRefusesExtension(t *testing.T) {
	leak.Check(t)
	addr := serveRaw(t, func(conn net.Conn) {
		accept(conn, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n")
		silent(conn)
	})
	_, err := dial(t, ws.New(), "ws://"+addr, nil)
	want := fmt.Sprintf(`ws: dial ws://%s: handshake: server chose extension `+
		`"permessage-deflate; server_no_context_takeover; client_no_context_takeover", which was not offered`, addr)
	if err == nil || err.Error() != want {
		t.Errorf("Dial returned\n%v, want\n%v", err, want)
	}
}

func TestAuthorization(t *testing.T) {
	leak.Check(t)
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("Authorization"), http.StatusTeapot)
	})
	for _, test := range []struct {
		user   string
		header http.Header
		want   string
	}{
		{"", nil, ""},
		{"me:s%20cret@", nil, "Basic bWU6cyBjcmV0"},
		{"me:secret@", http.Header{"X-Other": {"1"}}, "Basic bWU6c2VjcmV0"},
		{"me:secret@", http.Header{"Authorization": {"Bearer token"}}, "Bearer token"},
	} {
		_, err := dial(t, ws.New(), "ws://"+test.user+addr, test.header)
		rejected, ok := errors.AsType[*carrier.RejectedError](err)
		if !ok {
			t.Fatalf("Dial returned %v", err)
		}
		if got := strings.TrimSpace(string(rejected.Body)); got != test.want {
			t.Errorf("user %q and header %v arrive as %q, want %q", test.user, test.header, got, test.want)
		}
	}
}
