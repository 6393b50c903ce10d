package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/transport"
)

const (
	// forged is what would be another line of a log, or change the terminal that shows it.
	forged = "\nroot logged in\r\x1b[2J\x9b31m\u202e"

	// inHeader is as much of that as a header can have.
	inHeader = "root logged in \x9b31m\u202e"

	// secret is in no text, wherever it is in the URL that a client dials.
	secret = "TopSecret"
)

var lengthy = strings.Repeat("x", 64<<10)

// A hearer has what a trace and a log are told.
type hearer struct {
	log   testlog.Log
	mu    sync.Mutex // guards below
	texts []string
	gone  chan struct{} // has room for the end of each session
}

func newHearer() *hearer { return &hearer{gone: make(chan struct{}, 100)} }

func (h *hearer) hear(what string, err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts = append(h.texts, what+": "+err.Error())
}

func (h *hearer) options() []transport.Option {
	return []transport.Option{transport.WithLogger(h.log.Plain()), transport.WithTrace(transport.Trace{
		HandshakeFailed: func(_ *http.Request, err error) { h.hear("HandshakeFailed", err) },
		DialPassedOver:  func(_ string, _ time.Time, err error) { h.hear("DialPassedOver", err) },
		DialFailed:      func(_ string, err error) { h.hear("DialFailed", err) },
		StateChanged:    func(c transport.StateChange) { h.hear("StateChanged", c.Err) },
		StreamDialed:    func(_ context.Context, _ transport.Info, _ time.Duration, err error) { h.hear("StreamDialed", err) },
		StreamClosed:    func(_ transport.Info, s transport.StreamStats) { h.hear("StreamClosed", s.Err) },
		ClientGone: func(i transport.Info, err error) {
			h.hear("ClientGone", err)
			h.hear("Fallback", i.Fallback)
			h.gone <- struct{}{}
		},
	})}
}

// check expects that want was told, if it is not "", and nothing that harms.
func (h *hearer) check(t *testing.T, want string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range append(h.texts, strings.Split(strings.TrimSuffix(h.log.String(), "\n"), "\n")...) {
		if harm := testlog.Harm(text); harm != "" {
			t.Errorf("a text is %s", harm)
		}
		if strings.Contains(text, secret) {
			t.Errorf("a text has a secret: %s", text)
		}
		// A forged line looks like this, as no other does.
		if strings.HasPrefix(text, "root logged in") {
			t.Errorf("a line is forged: %s", text)
		}
	}
	if all := strings.Join(h.texts, "\n"); !strings.Contains(all, want) {
		t.Errorf("nothing is told of %s, but\n%s", want, all)
	}
}

// A spot is where a handler is reached by one carrier, with TLS.
type spot struct {
	by     carrier.Carrier
	listen func(t *testing.T, certificate tls.Certificate, h http.Handler) (addr string)
}

var spots = []spot{{ws.New(), listenTCP}, {webtransport.New(), listenUDP}}

func listenTCP(t *testing.T, certificate tls.Certificate, h http.Handler) string {
	srv := httptest.NewUnstartedServer(h)
	srv.TLS, srv.Config.ErrorLog = &tls.Config{Certificates: []tls.Certificate{certificate}}, quiet
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func listenUDP(t *testing.T, certificate tls.Certificate, h http.Handler) string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := webtransport.New().ListenHTTP3(&http3.Server{
		Handler:   h,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		ConnContext: func(ctx context.Context, c *quic.Conn) context.Context {
			return context.WithValue(ctx, quicConn{}, c)
		},
	}, conn)
	if err != nil {
		t.Fatal(err)
	}
	go e.Serve()
	t.Cleanup(func() { e.Close() })
	return e.Addr().String()
}

// quicConn is the key of the connection that a request has come by.
type quicConn struct{}

// In TestHostileServer a client dials hostile servers, with secrets.
func TestHostileServer(t *testing.T) {
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://"+secret+"@127.0.0.1/"+inHeader+r.RequestURI)
			w.Header().Set("X-Header", inHeader)
			w.WriteHeader(status)
			user, password, _ := r.BasicAuth()
			fmt.Fprint(w, r.RequestURI, " ", user, " ", password, " ", r.Header, forged, lengthy)
		}
	}
	upgraded := func(t *testing.T, say func(conn carrier.Conn, r *http.Request)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, p := range spots {
				if protocols, ok := p.by.Offer(r); ok {
					conn, err := p.by.Upgrade(w, r, protocols[0])
					if err != nil {
						t.Error(err)
						return
					}
					say(conn, r)
				}
			}
		})
	}
	for name, test := range map[string]struct {
		handler func(t *testing.T) http.Handler
		want    string // that is told
	}{
		"refuses":   {func(*testing.T) http.Handler { return echo(http.StatusForbidden) }, "403"},
		"redirects": {func(*testing.T) http.Handler { return echo(http.StatusFound) }, "302"},
		"has a page": {func(*testing.T) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.RequestURI, forged, lengthy)
			})
		}, "200"},
		"redirects as net/http does": {func(*testing.T) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://127.0.0.1:1"+r.RequestURI, http.StatusMovedPermanently)
			})
		}, "301"},
		"closes the session": {func(t *testing.T) http.Handler {
			return serverFunc(t, func(d *transport.Dialer) { d.CloseWithReason(forged + lengthy) }, transport.WithCarriers(ws.New(), webtransport.New()))
		}, "closed by the server"},
		"sends what is no protocol": {func(t *testing.T) http.Handler {
			return upgraded(t, func(conn carrier.Conn, _ *http.Request) {
				io.WriteString(conn, forged+lengthy)
				conn.Close()
			})
		}, "ClientGone"},
		"ends the connection": {func(t *testing.T) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c, ok := r.Context().Value(quicConn{}).(*quic.Conn); ok {
					c.CloseWithError(7, forged+lengthy[:500])
					return
				}
				u := websocket.Upgrader{Subprotocols: websocket.Subprotocols(r)[:1]}
				c, err := u.Upgrade(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				why := strings.ToValidUTF8(forged, "")
				c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, why), time.Now().Add(time.Second))
				c.Close()
			})
		}, "root logged in"},
	} {
		for _, p := range spots {
			t.Run(name+"/"+p.by.Name(), func(t *testing.T) {
				leak.Check(t)
				ca := testcert.NewCA(t)
				addr := p.listen(t, ca.Issue(t, "127.0.0.1"), test.handler(t))
				dialHostile(t, p.by, addr, &tls.Config{RootCAs: ca.Pool()}, test.want)
			})
		}
	}
}

// dialHostile expects that want is told, and nothing that harms, when a client dials what
// is hostile.
func dialHostile(t *testing.T, by carrier.Carrier, addr string, config *tls.Config, want string) {
	t.Helper()
	h := newHearer()
	opts := []transport.ClientOption{transport.WithCarriers(by), transport.WithTLSConfig(config)}
	for _, o := range h.options() {
		opts = append(opts, o)
	}
	address := "https://" + secret + ":" + secret + "2@" + addr + "/device?token=" + secret + "&key=" + url.QueryEscape(secret+" more")
	lis, err := transport.DialAndListenContext(within(t), address, http.Header{"Cookie": {secret}}, opts...)
	if err == nil {
		_, err = lis.Accept()
		await.From(t, "the end of the session", h.gone)
		lis.Close()
	}
	h.hear("result", err)
	h.check(t, want)
}

// TestHostileServerInHandshake is TestHostileServer for answers that no handler of
// net/http gives.
func TestHostileServerInHandshake(t *testing.T) {
	for _, answer := range []string{
		"SSH-2.0" + forged,
		"HTTP/1.1 20\x1b0 OK" + forged + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\x1b[2J\rroot logged in" + lengthy + "\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: " + inHeader + lengthy + "\r\n\r\n",
		"HTTP/1.1 403 \x1b[2J\x9b\r\nLocation: \x1b[2J\r\nContent-Length: 5\r\n\r\n\x1b[2Jx",
		"HTTP/1.1 302 Found\r\nLocation: https://a:" + secret + "%zz@host/?" + secret + "\r\nContent-Length: 0\r\n\r\n",
	} {
		leak.Check(t)
		ca := testcert.NewCA(t)
		ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.1")}})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				io.WriteString(conn, answer)
			}
		}()
		dialHostile(t, ws.New(), ln.Addr().String(), &tls.Config{RootCAs: ca.Pool()}, "ws: dial https://xxxxx@127.0.0.1")
	}
}

// In TestHostileServerInCertificate the names in a certificate look like lines of a log.
func TestHostileServerInCertificate(t *testing.T) {
	for _, p := range spots {
		t.Run(p.by.Name(), func(t *testing.T) {
			leak.Check(t)
			ca := testcert.NewCA(t)
			addr := p.listen(t, ca.Issue(t, "a\nroot logged in\x1b[2J", lengthy[:5000]), http.NotFoundHandler())
			_, port, _ := net.SplitHostPort(addr)
			dialHostile(t, p.by, "localhost:"+port, &tls.Config{RootCAs: ca.Pool()}, "certificate is valid for")
		})
	}
}

// In TestHostileClient hostile clients dial a server whose authorize repeats what they say.
func TestHostileClient(t *testing.T) {
	repeat := func(r *http.Request) string {
		return fmt.Sprint(r.URL.Path, r.URL.RawQuery, r.Header.Get("X-Header"), r.Host)
	}
	for name, authorize := range map[string]func(*http.Request) error{
		"no authorize": nil,
		"refused":      func(r *http.Request) error { return errors.New(repeat(r)) },
		"refused with an answer": func(r *http.Request) error {
			return fmt.Errorf("%s: %w", repeat(r), &carrier.RejectedError{StatusCode: 401, Body: []byte(repeat(r))})
		},
		"panic": func(r *http.Request) error { panic(repeat(r)) },
	} {
		for _, p := range spots {
			t.Run(name+"/"+p.by.Name(), func(t *testing.T) {
				leak.Check(t)
				h := newHearer()
				opts := []transport.ServerOption{transport.WithCarriers(ws.New(), webtransport.New())}
				for _, o := range h.options() {
					opts = append(opts, o)
				}
				if authorize != nil {
					opts = append(opts, transport.WithAuthorize(authorize))
				}
				server := serverFunc(t, nil, opts...)
				ca := testcert.NewCA(t)
				addr := p.listen(t, ca.Issue(t, "127.0.0.1"), server)
				trust := &tls.Config{RootCAs: ca.Pool()}
				for _, r := range []*carrier.Request{
					{Header: http.Header{"X-Header": {inHeader}}, Protocols: []string{"no-such-protocol"}},
					{Header: http.Header{"Origin": {"https://" + inHeader}}, Protocols: []string{"no-such-protocol"}},
					{Header: http.Header{"X-Header": {lengthy[:20_000]}}, Protocols: []string{lengthy[:20_000]}},
				} {
					r.URL = &url.URL{Scheme: "https", Host: addr, Path: "/x" + forged + lengthy[:5000]}
					r.TLS = trust
					if conn, err := p.by.Dial(within(t), r); err == nil {
						conn.Close()
						t.Error("a client is let in")
					}
				}
				if p.by.Name() == "ws" {
					visitPath(t, trust, addr, url.PathEscape(forged+"\x00")+lengthy[:5000])
				}
				h.check(t, "HandshakeFailed")
			})
		}
	}
}

// visitPath requests a path as a browser does.
func visitPath(t *testing.T, trust *tls.Config, addr, path string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trust}}
	answer, err := client.Get("https://" + addr + "/" + path)
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); testlog.Harm(strings.TrimSpace(string(body))) != "" {
		t.Errorf("the answer is %q", body)
	}
}

// In TestHostileClientAtItsEnd connected clients end their sessions with a reason.
func TestHostileClientAtItsEnd(t *testing.T) {
	for _, by := range []*ws.Carrier{ws.New(), ws.New(ws.WithGorillaFraming())} {
		leak.Check(t)
		h := newHearer()
		opts := []transport.ServerOption{transport.WithCarriers(by)}
		for _, o := range h.options() {
			opts = append(opts, o)
		}
		opened, read := make(chan bool), make(chan error, 1)
		srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) {
			conn, err := d.Dial()
			close(opened)
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
				conn.Close()
			}
			read <- err
		}, opts...))
		defer srv.Close()
		c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		await.From(t, "a stream", opened)
		why := strings.ToValidUTF8(forged, "")
		c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, why), time.Now().Add(time.Second))
		h.hear("Read", await.From(t, "the end of the stream", read))
		await.From(t, "the end of the session", h.gone)
		c.Close()
		h.check(t, "root logged in")
	}
}
