package webtransport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	foreign "github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// A failure is a Dial that cannot succeed, and its error.
type failure struct {
	name   string
	start  func(t *testing.T) (addr string, client *tls.Config)
	url    string // with ADDR for that address
	header http.Header
	want   string
	match  func(error) bool
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isRejection(status int) func(error) bool {
	return func(err error) bool {
		rejected, ok := errors.AsType[*carrier.RejectedError](err)
		return ok && rejected.StatusCode == status
	}
}

func nowhere(*testing.T) (string, *tls.Config) { return "", nil }

// silent is an address at which nobody answers.
func silent(t *testing.T) (string, *tls.Config) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket.LocalAddr().String(), nil
}

// own is a server of this carrier.
func own(h http.HandlerFunc) func(*testing.T) (string, *tls.Config) {
	return func(t *testing.T) (string, *tls.Config) {
		s := listen(t, webtransport.New(), h)
		return s.Addr().String(), s.tls
	}
}

// untrusted is a server whose certificate the client does not trust.
func untrusted(t *testing.T) (string, *tls.Config) {
	addr, _ := own(http.NotFound)(t)
	return addr, nil
}

// noHTTP3 is a server that speaks something else on QUIC.
func noHTTP3(t *testing.T) (string, *tls.Config) {
	config, client := newTLS(t)
	config.NextProtos = []string{"other"}
	l, err := quic.ListenAddr("127.0.0.1:0", config, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String(), client
}

// noWebTransport is a server that speaks only HTTP/3.
func noWebTransport(t *testing.T) (string, *tls.Config) {
	url, client := serveHTTP3(t, http.NotFound, func(s *http3.Server) func(*quic.Conn) error {
		s.EnableDatagrams = true
		return s.ServeQUICConn
	})
	return strings.Trim(url, "htps:/"), client
}

// choosesOther is a server that chooses a protocol that was not offered.
func choosesOther(t *testing.T) (string, *tls.Config) {
	url, client := serveHTTP3(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WT-Protocol", `"evil.v1"`)
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(s *http3.Server) func(*quic.Conn) error {
		return (&foreign.Server{H3: s}).ServeQUICConn
	})
	return strings.Trim(url, "htps:/"), client
}

var failures = []failure{{
	name:  "HTTP",
	start: nowhere,
	url:   "http://server/path",
	want:  `webtransport: dial http://server/path: unsupported URL scheme "http", want https or wss`,
	match: is(carrier.ErrScheme),
}, {
	name:  "WS",
	start: nowhere,
	url:   "ws://server/path",
	want:  `webtransport: dial ws://server/path: unsupported URL scheme "ws", want https or wss`,
	match: is(carrier.ErrScheme),
}, {
	name:  "NoHost",
	start: nowhere,
	url:   "https:///path",
	want:  `webtransport: dial https:///path: URL has no host`,
}, {
	name:   "OtherHost",
	start:  nowhere,
	url:    "https://server/",
	header: http.Header{"Host": {"other"}},
	want:   `webtransport: dial https://server/: header has Host "other", which must not differ from the URL's`,
}, {
	name:  "Silence",
	start: silent,
	url:   "https://me:secret@ADDR/?token=secret",
	want:  `webtransport: dial https://xxxxx@ADDR/: ADDR: no answer: does a server listen on this UDP port, and does UDP pass on the way?`,
	match: isA[*quic.IdleTimeoutError],
}, {
	name:  "UnknownCertificate",
	start: untrusted,
	url:   "https://ADDR/",
	want:  `webtransport: dial https://ADDR/: ADDR: handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority`,
	match: isA[x509.UnknownAuthorityError],
}, {
	name:  "NoHTTP3",
	start: noHTTP3,
	url:   "https://ADDR/",
	want:  `webtransport: dial https://ADDR/: ADDR: server does not speak HTTP/3: it refused the protocol "h3" (ALPN)`,
	match: isA[*quic.TransportError],
}, {
	name:  "NoWebTransport",
	start: noWebTransport,
	url:   "https://ADDR/",
	want:  `webtransport: dial https://ADDR/: server speaks HTTP/3, but not WebTransport: server didn't enable WebTransport`,
	match: isA[*foreign.RequirementsNotMetError],
}, {
	name:  "NotFound",
	start: own(http.NotFound),
	url:   "wss://ADDR/missing",
	want:  `webtransport: dial wss://ADDR/missing: server answered 404 Not Found: "404 page not found"`,
	match: isRejection(http.StatusNotFound),
}, {
	name:  "Page",
	start: own(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }),
	url:   "https://ADDR/",
	want:  `webtransport: dial https://ADDR/: not a WebTransport endpoint: server answered 200 OK`,
	match: isRejection(http.StatusOK),
}, {
	name:  "OtherProtocol",
	start: choosesOther,
	url:   "https://ADDR/",
	want:  `webtransport: dial https://ADDR/: handshake: webtransport: server selected application protocol "evil.v1" that wasn't offered`,
}}

func TestDialFails(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			leak.Parallel(t)
			addr, client := f.start(t)
			named := func(s string) string { return strings.ReplaceAll(s, "ADDR", addr) }
			_, err := dial(t, webtransport.New(webtransport.WithHandshakeTimeout(4*time.Second)), named(f.url), f.header, client)
			if err == nil || err.Error() != named(f.want) {
				t.Fatalf("Dial returned\n%v, want\n%v", err, named(f.want))
			}
			if f.match != nil && !f.match(err) {
				t.Errorf("Dial returned %#v, which has lost its cause", err)
			}
			if errors.Is(err, net.ErrClosed) {
				t.Errorf("Dial returned %v, which matches net.ErrClosed", err)
			}
		})
	}
}

func TestHandshakeTimeout(t *testing.T) {
	leak.Check(t)
	release := make(chan struct{})
	s := listen(t, webtransport.New(), func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	_, err := dial(t, webtransport.New(webtransport.WithHandshakeTimeout(300*time.Millisecond)), s.url, nil, s.tls)
	if want := "webtransport: dial " + s.url + ": no handshake within 300ms: context deadline exceeded"; err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial returned\n%v, want\n%v", err, want)
	}
}

func TestBasicAuth(t *testing.T) {
	leak.Check(t)
	c := webtransport.New()
	seen := make(chan string, 1)
	s := listen(t, c, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		http.Error(w, "no", http.StatusForbidden)
	})
	dial(t, c, strings.Replace(s.url, "//", "//Aladdin:open%20sesame@", 1), http.Header{"Upgrade": {"websocket"}}, s.tls)
	if got, want := await.From(t, "the request", seen), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="; got != want {
		t.Errorf("server sees Authorization %q, want %q", got, want)
	}
}

// A name may have an address at which nobody answers.
func TestLocalhost(t *testing.T) {
	leak.Check(t)
	c := webtransport.New()
	h, accepted := accepting(t, c)
	s := listen(t, c, h)
	_, port, _ := net.SplitHostPort(s.Addr().String())
	client, err := dial(t, c, "https://localhost:"+port, nil, s.tls)
	if err != nil {
		t.Fatal(err)
	}
	server := await.From(t, "Upgrade", accepted)
	defer server.Close()
	checkEcho(t, client, server)
}

// A socket reports when it is closed.
type socket struct {
	net.PacketConn
	closed chan struct{}
	once   sync.Once
}

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.PacketConn.Close()
}

func TestListenPacket(t *testing.T) {
	leak.Check(t)
	var made []*socket
	c := webtransport.New(webtransport.WithListenPacket(func(ctx context.Context, network, address string) (net.PacketConn, error) {
		if network != "udp4" || address != ":0" {
			t.Errorf("asked for a socket at %s %s", network, address)
		}
		conn, err := new(net.ListenConfig).ListenPacket(ctx, network, "127.0.0.1:0")
		s := &socket{PacketConn: conn, closed: make(chan struct{})}
		made = append(made, s)
		return s, err
	}))
	h, accepted := accepting(t, c)
	s := listen(t, c, h)
	client := s.dial(t, c)
	defer await.From(t, "Upgrade", accepted).Close()
	client.Close()
	if _, err := dial(t, c, s.url, nil, nil); !isA[*tls.CertificateVerificationError](err) {
		t.Error("dial:", err)
	}
	if len(made) != 2 {
		t.Fatalf("made %d sockets, want one for each Dial", len(made))
	}
	for _, s := range made {
		await.From(t, "Close of the socket", s.closed)
	}
	broken := errors.New("broken")
	c = webtransport.New(webtransport.WithListenPacket(func(context.Context, string, string) (net.PacketConn, error) {
		return nil, broken
	}))
	if _, err := dial(t, c, s.url, nil, s.tls); !errors.Is(err, broken) {
		t.Error("dial:", err)
	}
}

// TestAnswerTooLarge dials servers that answer with a large header. Errors live long, and must
// not keep it.
func TestAnswerTooLarge(t *testing.T) {
	leak.Check(t)
	c := webtransport.New()
	for _, test := range []struct{ fields, status int }{{100, 404}, {10_000, 404}, {10_000, 200}} {
		s := listen(t, c, func(w http.ResponseWriter, r *http.Request) {
			for i := range test.fields {
				w.Header()["X-"+strconv.Itoa(i)] = []string{"value"}
			}
			if test.status == http.StatusOK {
				c.Upgrade(w, r, "")
				return
			}
			w.WriteHeader(test.status)
		})
		_, err := dial(t, c, s.url, nil, s.tls)
		if err == nil {
			t.Errorf("%+v: Dial succeeds", test)
			continue
		}
		if kept := isA[*carrier.RejectedError](err); kept != (test.fields == 100) {
			t.Errorf("%+v: Dial returned %v", test, err)
		}
	}
}
