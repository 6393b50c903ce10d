package webtransport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

func TestListenFails(t *testing.T) {
	config, _ := newTLS(t)
	for _, test := range []struct {
		name, addr string
		config     *tls.Config
		want       string
	}{
		{"NoTLS", "127.0.0.1:0", nil, "webtransport: listen 127.0.0.1:0: no TLS configuration: QUIC needs one, with a certificate"},
		{"NoCertificate", "127.0.0.1:0", new(tls.Config), "webtransport: listen 127.0.0.1:0: no certificate in the TLS configuration"},
		{"Address", "127.0.0.1:99999", config, "webtransport: listen 127.0.0.1:99999: listen udp: address 99999: invalid port"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			if _, err := webtransport.New().Listen(test.addr, test.config, nil); err == nil || err.Error() != test.want {
				t.Errorf("Listen returned\n%v, want\n%v", err, test.want)
			}
		})
	}
}

func TestAltSvc(t *testing.T) {
	leak.Check(t)
	s := listen(t, webtransport.New(), http.NotFound)
	if got := s.Endpoint.(carrier.Advertised).AltSvc(); !regexp.MustCompile(`^h3=":[0-9]+"; ma=86400$`).MatchString(got) {
		t.Errorf("AltSvc returned %s", got)
	}
}

// TestPortIsFreed closes an endpoint and then the connections, on one end.
func TestPortIsFreed(t *testing.T) {
	for _, closes := range []string{"Client", "Server"} {
		t.Run(closes, func(t *testing.T) {
			leak.Check(t)
			c := webtransport.New()
			h, accepted := accepting(t, c)
			config, trust := newTLS(t)
			udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			closed := make(chan struct{})
			e, err := c.ListenHTTP3(&http3.Server{TLSConfig: config, Handler: h},
				closingSocket{udp, sync.OnceFunc(func() { close(closed) })})
			if err != nil {
				t.Fatal(err)
			}
			s := run(t, e, trust)
			client := s.dial(t, c)
			server := await.From(t, "Upgrade", accepted)
			addr := s.Addr().String()
			s.Close()
			checkEcho(t, client, server)
			if socket, err := net.ListenPacket("udp", addr); err == nil {
				socket.Close()
				t.Error("port was freed before the connection ended")
			}
			if closes == "Client" {
				client.Close()
			} else {
				server.Close()
			}
			await.From(t, "the end of the socket", closed)
			socket, err := net.ListenPacket("udp", addr)
			if err != nil {
				t.Fatalf("port is not free: %v", err)
			}
			socket.Close()
		})
	}
}

// A closingSocket reports when it has been closed.
type closingSocket struct {
	*net.UDPConn
	tell func()
}

func (s closingSocket) Close() error {
	defer s.tell()
	return s.UDPConn.Close()
}

// TestPortIsFreedOfIdlers closes an endpoint that has a connection, but no session.
func TestPortIsFreedOfIdlers(t *testing.T) {
	leak.Check(t)
	s := listen(t, webtransport.New(), http.NotFound)
	config := s.tls.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	qconn, err := quic.DialAddr(t.Context(), s.Addr().String(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer qconn.CloseWithError(0, "")
	s.Close()
	await.From(t, "the end of an idle connection", qconn.Context().Done())
}

// TestListenHTTP3 serves sessions and other requests on the program's own server.
func TestListenHTTP3(t *testing.T) {
	leak.Check(t)
	config, client := newTLS(t)
	type key struct{}
	c := webtransport.New()
	accepted := make(chan carrier.StreamConn, 1)
	own := &http3.Server{
		TLSConfig:          config,
		AdditionalSettings: map[uint64]uint64{33: 33},
		ConnContext: func(ctx context.Context, _ *quic.Conn) context.Context {
			return context.WithValue(ctx, key{}, "mine")
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(key{}) != "mine" {
				t.Error("ConnContext was not called")
			}
			if _, ok := c.Offer(r); !ok {
				io.WriteString(w, "a page")
				return
			}
			w.Header().Set("Content-Type", "text/html") // as middleware may
			conn, err := c.Upgrade(wrapped{w}, r, "")
			if err != nil {
				t.Errorf("Upgrade: %v", err)
				return
			}
			accepted <- conn.(carrier.StreamConn)
		}),
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.ListenHTTP3(own, socket)
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, e, client)
	dialled := s.dial(t, c)
	server := await.From(t, "Upgrade", accepted)
	defer server.Close()
	checkEcho(t, dialled, server)

	transport := &http3.Transport{TLSClientConfig: client}
	defer transport.Close()
	answer, err := (&http.Client{Transport: transport}).Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); string(body) != "a page" || err != nil {
		t.Errorf("server answered %q, %v", body, err)
	}
	if !maps.Equal(own.AdditionalSettings, map[uint64]uint64{33: 33}) || own.QUICConfig != nil || own.EnableDatagrams {
		t.Errorf("the server was changed to %+v, %+v", own.AdditionalSettings, own.QUICConfig)
	}
}

// A wrapped is a ResponseWriter as middleware makes them.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// An opaque is a ResponseWriter of careless middleware.
type opaque struct{ http.ResponseWriter }

func TestUpgradeFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		option webtransport.Option
		origin string
		call   func(*webtransport.Carrier, http.ResponseWriter, *http.Request) error
		status int
		want   string
	}{{
		"Origin", webtransport.WithCheckOrigin(nil), "https://evil.example", upgrade(""), http.StatusForbidden,
		`webtransport: upgrade: origin not allowed: "https://evil.example"`,
	}, {
		"OriginNotListed", webtransport.WithAllowedOrigins("https://good.example"), "https://evil.example", upgrade(""), http.StatusForbidden,
		`webtransport: upgrade: origin not allowed: "https://evil.example"`,
	}, {
		"Protocol", webtransport.WithCheckOrigin(nil), "", upgrade("three.v1"), http.StatusInternalServerError,
		`webtransport: upgrade: protocol "three.v1" was not offered`,
	}, {
		"Opaque", webtransport.WithCheckOrigin(nil), "", func(c *webtransport.Carrier, w http.ResponseWriter, r *http.Request) error {
			return upgrade("")(c, opaque{w}, r)
		}, http.StatusInternalServerError,
		`webtransport: upgrade: webtransport_test.opaque is not the ResponseWriter of an HTTP/3 request, and has no Unwrap method that leads to it`,
	}, {
		"NoEndpoint", webtransport.WithCheckOrigin(nil), "", func(c *webtransport.Carrier, w http.ResponseWriter, r *http.Request) error {
			return upgrade("")(c, w, r.WithContext(context.Background()))
		}, http.StatusInternalServerError,
		`webtransport: upgrade: request did not come through an endpoint of this carrier: make one with Listen, or with ListenHTTP3 for an http3.Server of your own`,
	}, {
		"Method", webtransport.WithCheckOrigin(nil), "", func(c *webtransport.Carrier, w http.ResponseWriter, _ *http.Request) error {
			return upgrade("")(c, w, httptest.NewRequest(http.MethodGet, "/", nil))
		}, http.StatusBadRequest,
		`webtransport: upgrade: request is not for WebTransport: method "GET", protocol "HTTP/1.1"`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			c := webtransport.New(test.option)
			failed := make(chan error, 1)
			s := listen(t, c, func(w http.ResponseWriter, r *http.Request) { failed <- test.call(c, w, r) })
			header := make(http.Header)
			if test.origin != "" {
				header.Set("Origin", test.origin)
			}
			_, err := dial(t, c, s.url, header, s.tls)
			if !isRejection(test.status)(err) {
				t.Errorf("Dial returned %v, want status %d", err, test.status)
			}
			if err := await.From(t, "Upgrade", failed); err == nil || err.Error() != test.want {
				t.Errorf("Upgrade returned\n%v, want\n%v", err, test.want)
			}
		})
	}
}

func upgrade(protocol string) func(*webtransport.Carrier, http.ResponseWriter, *http.Request) error {
	return func(c *webtransport.Carrier, w http.ResponseWriter, r *http.Request) error {
		conn, err := c.Upgrade(w, r, protocol)
		if err == nil {
			conn.Close()
		}
		return err
	}
}

func TestOriginsAllowed(t *testing.T) {
	leak.Check(t)
	c := webtransport.New(webtransport.WithAllowedOrigins("https://good.example"))
	s := listen(t, c, func(w http.ResponseWriter, r *http.Request) {
		if err := upgrade("")(c, w, r); err != nil {
			t.Error(err)
		}
	})
	for _, origin := range []string{"https://good.example", "https://" + s.Addr().String()} {
		if _, err := dial(t, c, s.url, http.Header{"Origin": {origin}}, s.tls); err != nil {
			t.Errorf("from %s: %v", origin, err)
		}
	}
}

func TestMalformedOffer(t *testing.T) {
	for _, offer := range []string{`"one`, `one`, `"one", 2`, `"one", (1 2)`} {
		r := httptest.NewRequest(http.MethodConnect, "https://server/", nil)
		r.Proto = "webtransport"
		r.Header.Set("WT-Available-Protocols", offer)
		if got, ok := webtransport.New().Offer(r); len(got) != 0 || !ok {
			t.Errorf("Offer of %s returned %q, %v, want none", offer, got, ok)
		}
	}
}

// A serving endpoint whose socket breaks has not been closed.
func TestSocketBreaks(t *testing.T) {
	leak.Check(t)
	config, _ := newTLS(t)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := webtransport.New().ListenHTTP3(&http3.Server{TLSConfig: config}, socket)
	if err != nil {
		t.Fatal(err)
	}
	served := start(e.Serve)
	socket.Close()
	if err := await.From(t, "Serve", served); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	e.Close()
}

// TestIdleTimeout expects a client to stay as long as it has a session.
func TestIdleTimeout(t *testing.T) {
	leak.Check(t)
	config, client := newTLS(t)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := webtransport.New()
	h, accepted := accepting(t, c)
	e, err := c.ListenHTTP3(&http3.Server{TLSConfig: config, Handler: h, IdleTimeout: 200 * time.Millisecond}, socket)
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, e, client)
	dialled := s.dial(t, c)
	server := await.From(t, "Upgrade", accepted)
	defer server.Close()

	config = client.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	idler, err := quic.DialAddr(t.Context(), s.Addr().String(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer idler.CloseWithError(0, "")
	await.From(t, "the end of a connection without a request", idler.Context().Done())
	checkEcho(t, dialled, server)
}
