package transport_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// answer is a server that answers every request the same way.
func answer(status int, header http.Header, body string) func(*testing.T) string {
	return func(t *testing.T) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for k, v := range header {
				w.Header()[k] = v
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
}

// picks is a server that upgrades and picks a protocol, offered or not.
func picks(protocol string) func(*testing.T) string {
	return func(t *testing.T) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header := http.Header{"Sec-Websocket-Protocol": {protocol}}
			c, err := (&websocket.Upgrader{}).Upgrade(w, r, header)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.NextReader() // until the client leaves
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
}

// TestDialErrors shows what a user gets to see.
func TestDialErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		url  func(t *testing.T) string
		opts []transport.ClientOption
		text string // a pattern
		is   func(error) bool
	}{{
		name: "broken URL",
		url:  func(*testing.T) string { return "ws://host:port" },
		text: `transport: the URL is invalid: invalid port \(it is not shown, .*`,
	}, {
		name: "broken URL with a password",
		url:  func(*testing.T) string { return "ws://device:se%cret@host/" },
		text: `transport: the URL is invalid: invalid URL escape \(it is not shown, because it may hold a secret; are its user and password escaped\?\)`,
	}, {
		name: "token in the URL",
		url:  func(t *testing.T) string { return "ws://" + testnet.FreeAddr(t) + "/x?token=secret" },
		text: `transport: ws: dial ws://127.0.0.1:\d+/x: dial tcp 127.0.0.1:\d+: connect: connection refused`,
	}, {
		name: "endless Location",
		url:  answer(302, http.Header{"Location": {strings.Repeat("x", 50<<10)}}, ""),
		text: `transport: ws: dial http://127.0.0.1:\d+: server answered 302 Found to "x{200}…" \(redirects are not followed\)`,
	}, {
		name: "hanging carrier",
		url: func(t *testing.T) string {
			ln, err := net.Listen("tcp", "127.0.0.1:0") // and never accept
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			return "http://" + ln.Addr().String()
		},
		opts: []transport.ClientOption{transport.WithCarriers(ws.New(), mem.New()), transport.WithHandshakeTimeout(time.Second)},
		text: `transport: no session within 1s: ws: dial http://127.0.0.1:\d+: context deadline exceeded; mem: dial .* unsupported URL scheme "http", want mem`,
	}, {
		name: "wrong scheme",
		url:  func(*testing.T) string { return "ftp://example.com/" },
		text: `transport: ws: dial ftp://example.com/: unsupported URL scheme "ftp", want ws, wss, http or https`,
		is:   func(err error) bool { return errors.Is(err, carrier.ErrScheme) },
	}, {
		name: "wrong scheme for every carrier",
		url:  func(*testing.T) string { return "ftp://example.com/" },
		opts: []transport.ClientOption{transport.WithCarriers(ws.New(), mem.New())},
		text: `transport: ws: dial ftp://example.com/: unsupported URL scheme .*; mem: dial ftp://example.com/: unsupported URL scheme "ftp", want mem`,
		is:   func(err error) bool { return errors.Is(err, carrier.ErrScheme) },
	}, {
		name: "nobody listens",
		url:  func(t *testing.T) string { return "ws://device:secret@" + testnet.FreeAddr(t) },
		text: `transport: ws: dial ws://xxxxx@127.0.0.1:\d+: dial tcp 127.0.0.1:\d+: connect: connection refused`,
		is:   func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) },
	}, {
		name: "unknown certificate",
		url: func(t *testing.T) string {
			srv := httptest.NewUnstartedServer(nil)
			srv.Config.ErrorLog = quiet
			srv.StartTLS()
			t.Cleanup(srv.Close)
			return srv.URL
		},
		text: `transport: ws: dial https://127.0.0.1:\d+: .*tls: failed to verify certificate: x509: certificate signed by unknown authority`,
		is: func(err error) bool {
			_, ok := errors.AsType[x509.UnknownAuthorityError](err)
			return ok
		},
	}, {
		name: "some other page",
		url:  answer(200, nil, "<html>welcome</html>"),
		text: `transport: ws: dial http://127.0.0.1:\d+: server answered 200 OK: "<html>welcome</html>"`,
		is:   rejectedWith(200),
	}, {
		name: "no such page",
		url:  answer(404, nil, "404 page not found\n"),
		text: `transport: ws: dial http://127.0.0.1:\d+: server answered 404 Not Found: "404 page not found"`,
		is:   rejectedWith(404),
	}, {
		name: "moved",
		url:  answer(302, http.Header{"Location": {"/login"}}, ""),
		text: `transport: ws: dial http://127.0.0.1:\d+: server answered 302 Found to "/login" \(redirects are not followed\)`,
		is:   rejectedWith(302),
	}, {
		name: "no mux in common",
		url: func(t *testing.T) string {
			srv := httptest.NewServer(serverFunc(t, nil))
			t.Cleanup(srv.Close)
			return srv.URL
		},
		opts: []transport.ClientOption{transport.WithMuxes(smuxmux.New())},
		text: `transport: ws: dial http://127.0.0.1:\d+: server answered 400 Bad Request: "no multiplexer in common: client offers backdial.v1.smux, server has qmux-02.backdial.1, backdial.v1.yamux"`,
		is:   rejectedWith(400),
	}, {
		name: "mux that was not offered",
		url:  picks("backdial.v1.smux"),
		text: `transport: ws: dial http://127.0.0.1:\d+: no multiplexer in common: server picked "backdial.v1.smux", which was not offered \(qmux-02.backdial.1, backdial.v1.yamux\)`,
		is:   func(err error) bool { return errors.Is(err, transport.ErrNoCommonMux) },
	}, {
		name: "no answer",
		url: func(t *testing.T) string {
			ln, err := net.Listen("tcp", "127.0.0.1:0") // and never accept
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			return "http://" + ln.Addr().String()
		},
		opts: []transport.ClientOption{transport.WithHandshakeTimeout(50 * time.Millisecond)},
		text: `transport: no session within 50ms: ws: dial http://127.0.0.1:\d+: context deadline exceeded`,
		is:   func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
	}} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			_, err := transport.DialAndListenContext(within(t), test.url(t), nil, test.opts...)
			if err == nil {
				t.Fatal("no error")
			}
			if !regexp.MustCompile("^" + test.text + "$").MatchString(err.Error()) {
				t.Errorf("error\n\t%s\nwant\n\t%s", err, test.text)
			}
			if test.is != nil && !test.is(err) {
				t.Errorf("%q does not match what callers look for", err)
			}
		})
	}
}

func rejectedWith(status int) func(error) bool {
	return func(err error) bool {
		rejected, ok := errors.AsType[*carrier.RejectedError](err)
		return ok && rejected.StatusCode == status
	}
}

func TestPlainRequests(t *testing.T) {
	told := make(chan error, 1)
	srv := httptest.NewServer(serverFunc(t, nil, transport.WithTrace(transport.Trace{
		HandshakeFailed: func(_ *http.Request, err error) { told <- err },
	})))
	defer srv.Close()
	for _, test := range []struct {
		method string
		header http.Header
		status int
		body   string
		err    error // that the trace is told, or nil for any
	}{
		{"GET", nil, 426, `GET "/" is not a handshake for this server's carriers (ws)`, transport.ErrNotHandshake},
		{"POST", nil, 426, `POST "/" is not a handshake for this server's carriers (ws)`, transport.ErrNotHandshake},
		{"GET", upgrade("backdial.v9.future"), 400, "client offers backdial.v9.future, server has qmux-02.backdial.1, backdial.v1.yamux", transport.ErrNoCommonMux},
		{"GET", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, 400, "Bad Request", nil},
		{"GET", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {"https://evil.example"}}, 403, "Forbidden", carrier.ErrOrigin},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range test.header {
			r.Header[k] = v
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			continue
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != test.status || !strings.Contains(string(body), test.body) {
			t.Errorf("%s %v: status %d, %q; want %d, %q", test.method, test.header, answer.StatusCode, body, test.status, test.body)
		}
		if handshake := test.header != nil; handshake && !answer.Close {
			t.Errorf("%s %v: the server keeps the connection of a client that it has refused", test.method, test.header)
		}
		if err := await.From(t, "HandshakeFailed", told); test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%s %v: the trace is told %v, want %v", test.method, test.header, err, test.err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func upgrade(protocol string) http.Header {
	return http.Header{
		"Connection":             {"Upgrade"},
		"Upgrade":                {"websocket"},
		"Sec-Websocket-Version":  {"13"},
		"Sec-Websocket-Key":      {"dGhlIHNhbXBsZSBub25jZQ=="},
		"Sec-Websocket-Protocol": {protocol},
	}
}

// In TestHostilePeers WebSocket peers break off in various ways.
func TestHostilePeers(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(*websocket.Conn)
		text string
	}{{
		"garbage",
		func(c *websocket.Conn) { c.WriteMessage(websocket.BinaryMessage, []byte("GET / HTTP/1.1\r\n")) },
		"client gone: yamux: session ended: protocol violation: frame of version 71 instead of 0: the peer does not speak yamux",
	}, {
		"text",
		func(c *websocket.Conn) { c.WriteMessage(websocket.TextMessage, []byte("hello")) },
		"client gone: yamux: session ended: ws: read: peer sent a text message",
	}, {
		"cut in the middle of a message",
		func(c *websocket.Conn) {
			w, _ := c.NextWriter(websocket.BinaryMessage)
			w.Write([]byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 100, 0}) // 25,600 bytes on stream 1
			w.Write(make([]byte, 10_000))                         // more than the buffer: a part of it leaves
			c.NetConn().Close()
		},
		"client gone: yamux: session ended: ws: read: connection cut: unexpected EOF",
	}, {
		"cut in the middle of a mux frame",
		func(c *websocket.Conn) {
			c.WriteMessage(websocket.BinaryMessage, []byte{0, 2, 0, 1})
			c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
		},
		"client gone: yamux: session ended: unexpected EOF",
	}, {
		"leaves",
		func(c *websocket.Conn) {
			c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
		},
		"client gone: yamux: session ended: closed by the peer",
	}} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			dialers := make(chan *transport.Dialer, 1)
			srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }))
			defer srv.Close()
			header := http.Header{"Sec-Websocket-Protocol": {"backdial.v1.yamux"}}
			c, _, err := websocket.DefaultDialer.Dial(strings.Replace(srv.URL, "http", "ws", 1), header)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			d := await.From(t, "Dialer", dialers)
			reading := make(chan error)
			stream, err := d.Dial()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := io.Copy(io.Discard, stream)
				reading <- err
			}()
			c.ReadMessage() // which opens the stream: nothing is on its way
			test.do(c)
			await.From(t, "end of the session", d.Done())
			if err := d.Err(); err.Error() != "transport: "+test.text || !errors.Is(err, transport.ErrClientGone) {
				t.Errorf("error\n\t%s\nwant\n\ttransport: %s", err, test.text)
			}
			if err := await.From(t, "end of Read", reading); !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("read: error %v, want mux.ErrSessionEnded", err)
			}
			if _, err := d.Dial(); !errors.Is(err, transport.ErrClientGone) {
				t.Errorf("dial: error %v, want transport.ErrClientGone", err)
			}
		})
	}
}

// A greetedMux waits for a byte from its peer.
type greetedMux struct{ mux.Muxer }

func (m greetedMux) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		conn.Close()
		return nil, err
	}
	return m.Muxer.ListenSide(conn, config)
}

// In TestSilentGreeting a multiplexer waits for a silent server.
func TestSilentGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, _ := inMemory(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := transport.DialAndListenContext(ctx, "mem://server", nil,
			transport.WithCarriers(network), transport.WithMuxes(greetedMux{yamuxmux.New()}))
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("after %v: %v; want context.DeadlineExceeded after 1s", took, err)
		}
	})
}
