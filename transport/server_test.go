package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// In TestMixedClients clients of all muxes, with several orders of preference, and one of
// wslis use a server at the same time.
func TestMixedClients(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 10)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d },
		transport.WithMuxes(smuxmux.New(), yamuxmux.New(), qmux.New())))
	defer srv.Close()

	want := make(map[string]transport.Info) // by DeviceId
	for id, muxes := range map[string][]mux.Muxer{
		"yamux":       {yamuxmux.New()},
		"smux":        {smuxmux.New()},
		"yamux first": {yamuxmux.New(), smuxmux.New()},
		"smux first":  {smuxmux.New(), yamuxmux.New()},
		"qmux":        {qmux.New()},
		"qmux first":  {qmux.New(), yamuxmux.New()},
	} {
		lis, err := transport.DialAndListenContext(within(t), srv.URL, http.Header{"DeviceId": {id}}, transport.WithMuxes(muxes...))
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		go serveEcho(lis)
		want[id] = lis.Info()
		if got := lis.Info().Protocol; got != muxes[0].Protocol() {
			t.Errorf("%s: negotiated %q, want %q", id, got, muxes[0].Protocol())
		}
	}
	old, err := wslisListen(srv.URL, http.Header{"DeviceId": {"wslis"}})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	go serveEcho(old)
	want["wslis"] = transport.Info{Carrier: "ws", Mux: "yamux", Protocol: ""}

	for range len(want) {
		d := await.From(t, "Dialer", dialers)
		id := d.Header.Get("DeviceId")
		got, want := d.Info(), want[id]
		if got.Carrier != want.Carrier || got.Mux != want.Mux || got.Protocol != want.Protocol {
			t.Errorf("%s: server says %+v, client %+v", id, got, want)
		}
		echoes(t, d, 10_000)
	}
}

// In TestDefaultMuxes some clients and servers name no multiplexer, and some have only yamux,
// as all had before qmux.
func TestDefaultMuxes(t *testing.T) {
	old := transport.WithMuxes(yamuxmux.New())
	for _, test := range []struct {
		name   string
		server []transport.ServerOption
		client []transport.ClientOption
		want   mux.Muxer
	}{
		{"Defaults", nil, nil, qmux.New()},
		{"OldServer", []transport.ServerOption{old}, nil, yamuxmux.New()},
		{"OldClient", nil, []transport.ClientOption{old}, yamuxmux.New()},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			dialers := make(chan *transport.Dialer, 1)
			srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }, test.server...))
			defer srv.Close()
			lis, err := transport.DialAndListenContext(within(t), srv.URL, nil, test.client...)
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			go serveEcho(lis)
			d := await.From(t, "Dialer", dialers)
			for end, got := range map[string]transport.Info{"client": lis.Info(), "server": d.Info()} {
				if got.Mux != test.want.Name() || got.Protocol != test.want.Protocol() {
					t.Errorf("the %s has negotiated %q, %q, want %q, %q", end, got.Mux, got.Protocol, test.want.Name(), test.want.Protocol())
				}
			}
			echoes(t, d, 10_000)
		})
	}
}

// TestLiterals uses Client and Server as wslis had them.
func TestLiterals(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	server := &transport.Server{
		Addr:    "127.0.0.1:0",
		Handler: transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }),
	}
	defer server.Close()
	router := http.NewServeMux()
	router.Handle("/devices", server)
	srv := httptest.NewServer(router)
	defer srv.Close()
	client := &transport.Client{
		URL:              srv.URL + "/devices",
		Header:           http.Header{"DeviceId": {"123"}},
		HandshakeTimeout: patience,
	}
	lis, err := client.DialAndListen()
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go serveEcho(lis)
	echoes(t, await.From(t, "Dialer", dialers), 10)
}

func TestListenAndServeTLS(t *testing.T) {
	leak.Check(t)
	certFile, keyFile, roots := certificate(t)
	dialers := make(chan *transport.Dialer, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }))
	server.Addr = testnet.FreeAddr(t)
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServeTLS(certFile, keyFile) }()
	awaitListening(t, server.Addr)
	lis, err := transport.DialAndListen("wss://"+server.Addr, nil,
		transport.WithTLSConfig(&tls.Config{RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}}))
	if err != nil {
		t.Fatal(err)
	}
	go serveEcho(lis)
	echoes(t, await.From(t, "Dialer", dialers), 100_000)
	server.Close()
	err = await.From(t, "end of ListenAndServeTLS", served)
	if !errors.Is(err, transport.ErrServerClosed) || !errors.Is(err, http.ErrServerClosed) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want transport.ErrServerClosed", err)
	}
	if err := server.ListenAndServeTLS(certFile, keyFile); err != transport.ErrServerClosed {
		t.Errorf("once more: error %v, want transport.ErrServerClosed", err)
	}
}

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	ca := testcert.NewCA(t)
	certFile, keyFile = testcert.Files(t, ca.Issue(t, "127.0.0.1"))
	return certFile, keyFile, ca.Pool()
}

func TestServeErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	handler := transport.EndpointHandlerFunc(func(*transport.Dialer) {})
	for _, test := range []struct {
		name string
		err  error
		text string
	}{
		{"no handler", transport.ListenAndServe("127.0.0.1:0", nil), "transport: Server.Handler is nil"},
		{"address in use", transport.ListenAndServe(taken.Addr().String(), handler), "address already in use"},
		{"no certificate", transport.ListenAndServeTLS("127.0.0.1:0", "", "", handler), "transport: no certificate: name its files, or use WithTLSConfig"},
		{"TLS forgotten", transport.ListenAndServe("127.0.0.1:0", handler, transport.WithTLSConfig(&tls.Config{})), "use ListenAndServeTLS"},
		{"no such file", transport.ListenAndServeTLS("127.0.0.1:0", "no.pem", "no.pem", handler), "transport: open no.pem: no such file or directory"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.text) {
			t.Errorf("%s: error %v, want %s", test.name, test.err, test.text)
		}
	}
}

// TestHandshakeLimits sends more header than is allowed, and none at all.
func TestHandshakeLimits(t *testing.T) {
	leak.Check(t)
	server := serverFunc(t, nil, transport.WithHandshakeTimeout(50*time.Millisecond))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	for name, request := range map[string]string{
		"endless header": "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 100<<10),
		"no end":         "GET / HTTP/1.1\r\nHost: x\r\n",
		"nothing":        "",
		"no request":     "GET / HTTP/1.1\r\nHost: x\r\n\r\n", // and then stays
		"no body":        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
	} {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, request)
		answer := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(c)
			answer <- string(b)
		}()
		got := await.From(t, name+": end of the connection", answer)
		if name == "endless header" && !strings.HasPrefix(got, "HTTP/1.1 431 ") {
			t.Errorf("%s: answer %q, want status 431", name, got)
		}
		c.Close()
	}
	server.Close()
	await.From(t, "end of Serve", served)
}

// TestIdleSession counts what an idle session costs.
func TestIdleSession(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }))
	defer srv.Close()
	before := runtime.NumGoroutine()
	const sessions = 50
	for range sessions {
		lis, err := transport.DialAndListen(srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		await.From(t, "Dialer", dialers)
	}
	// One goroutine reads on each side; those of the handshakes go away.
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		n := runtime.NumGoroutine() - before
		if n <= 2*sessions {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines for %d idle sessions, want one on each side", n, sessions)
		}
	}
}

func TestPanicInHandler(t *testing.T) {
	leak.Check(t)
	var logged syncBuffer
	srv := httptest.NewServer(serverFunc(t, func(*transport.Dialer) { panic("oops") },
		transport.WithLogger(textLogger(&logged))))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if _, err := lis.Accept(); !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("accept: %v, want mux.ErrSessionEnded", err)
	}
	if got := logged.String(); !strings.Contains(got, "panic=oops") || !strings.Contains(got, "server_test.go") {
		t.Errorf("the log does not tell of the panic:\n%s", got)
	}
}

// TestAbortInHandler panics with http.ErrAbortHandler, which nobody logs.
func TestAbortInHandler(t *testing.T) {
	leak.Check(t)
	var logged syncBuffer
	srv := httptest.NewServer(serverFunc(t, func(*transport.Dialer) { panic(http.ErrAbortHandler) },
		transport.WithLogger(textLogger(&logged))))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if _, err := lis.Accept(); !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("accept: %v, want mux.ErrSessionEnded", err)
	}
	if got := logged.String(); strings.Contains(got, "panic") {
		t.Errorf("the log tells of it:\n%s", got)
	}
}

// In TestShutdownWaitsForHandlers a handler is slow.
func TestShutdownWaitsForHandlers(t *testing.T) {
	leak.Check(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	server := serverFunc(t, func(*transport.Dialer) {
		close(entered)
		<-leave
	})
	srv := httptest.NewServer(server)
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	await.From(t, "handler", entered)
	done := make(chan error, 1)
	go func() { done <- server.Shutdown(t.Context()) }()
	await.From(t, "end of the session", lis.(*transport.Listener).Done())
	select {
	case <-done:
		t.Error("Shutdown did not wait for the handler")
	default:
	}
	close(leave)
	if err := await.From(t, "end of Shutdown", done); err != nil {
		t.Error("shutdown:", err)
	}
}

// In TestListenerShutdown the device is an http.Server with a request under way. http.Serve
// closes its listener as soon as Accept fails.
func TestListenerShutdown(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }))
	defer srv.Close()
	lis, err := transport.DialAndListenContext(within(t), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	device := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		io.WriteString(w, "done")
	})}
	go device.Serve(lis)
	d := await.From(t, "Dialer", dialers)
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	answered := make(chan string, 1)
	go func() {
		answer, err := client.Get("http://device/")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		answered <- string(body)
	}()
	await.From(t, "request", entered)
	device.SetKeepAlivesEnabled(false)
	shut := make(chan error, 1)
	go func() { shut <- lis.Shutdown(within(t)) }()
	for err := error(nil); err == nil; { // until the shutdown has begun
		var c net.Conn
		if c, err = d.Dial(); err == nil {
			c.Close()
		}
	}
	close(leave)
	if got := await.From(t, "answer", answered); got != "done" {
		t.Errorf("the request under way got %q, want done", got)
	}
	if err := await.From(t, "end of Shutdown", shut); err != nil {
		t.Error("shutdown:", err)
	}
}

// TestTracePanic makes sure that a trace function which panics leaves no
// session behind.
func TestTracePanic(t *testing.T) {
	leak.Check(t)
	server := serverFunc(t, nil, transport.WithTrace(transport.Trace{
		ClientConnected: func(transport.Info) { panic(http.ErrAbortHandler) },
	}))
	srv := httptest.NewServer(server)
	defer srv.Close()
	lis, err := transport.DialAndListenContext(within(t), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	await.From(t, "end of the session", lis.Done())
	if err := server.Shutdown(within(t)); err != nil {
		t.Error("shutdown:", err)
	}
}

// TestCloseWaitsForTrace closes a server whose trace takes its time.
func TestCloseWaitsForTrace(t *testing.T) {
	leak.Check(t)
	var gone atomic.Bool
	connected := make(chan struct{})
	server := serverFunc(t, nil, transport.WithTrace(transport.Trace{
		ClientConnected: func(transport.Info) { close(connected) },
		ClientGone: func(transport.Info, error) {
			runtime.Gosched()
			gone.Store(true)
		},
	}))
	srv := httptest.NewServer(server)
	defer srv.Close()
	lis, err := transport.DialAndListenContext(within(t), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	await.From(t, "session", connected)
	server.Close()
	if !gone.Load() {
		t.Error("Close returned before the end of the session was announced")
	}
}
