package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A doorway is a server that somebody tries to enter.
type doorway struct {
	network *mem.Carrier
	dialers chan *transport.Dialer
	refused chan error
}

func newDoorway(t *testing.T, opts ...transport.ServerOption) *doorway {
	t.Helper()
	d := &doorway{mem.New(), make(chan *transport.Dialer, 10), make(chan error, 10)}
	opts = append([]transport.ServerOption{
		transport.WithCarriers(d.network),
		transport.WithTrace(transport.Trace{HandshakeFailed: func(_ *http.Request, err error) { d.refused <- err }}),
	}, opts...)
	s := serverFunc(t, func(dialer *transport.Dialer) { d.dialers <- dialer }, opts...)
	e, err := d.network.Listen("server", nil, s)
	if err != nil {
		t.Fatal(err)
	}
	go e.Serve()
	t.Cleanup(func() { e.Close() })
	return d
}

// enter connects a client.
func (d *doorway) enter(t *testing.T, header http.Header) error {
	lis, err := transport.DialAndListenContext(t.Context(), "mem://server", header, transport.WithCarriers(d.network))
	if err == nil {
		t.Cleanup(func() { lis.Close() })
	}
	return err
}

// refuses expects that a client is refused with a status.
func (d *doorway) refuses(t *testing.T, status int) (*carrier.RejectedError, error) {
	t.Helper()
	err := d.enter(t, nil)
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	if !ok || rejected.StatusCode != status {
		t.Fatalf("error %v, want status %d", err, status)
	}
	return rejected, <-d.refused
}

// In TestAuthorize the error determines the answer.
func TestAuthorize(t *testing.T) {
	reason := errors.New("a secret reason")
	for _, test := range []struct {
		name   string
		err    error
		status int
		header string // one of the answer, and its value
		body   string
	}{
		{"any error", reason, 503, "Retry-After: 1", "Service Unavailable\n"},
		{"a verdict", fmt.Errorf("%w: %w", reason, transport.ErrForbidden), 403, "Backdial-Rejected: 1", "Forbidden\n"},
		{"another", transport.ErrUnauthorized, 401, "Backdial-Rejected: 1", "Unauthorized\n"},
		{"that caches are not to keep", transport.ErrUnauthorized, 401, "Cache-Control: no-store", "Unauthorized\n"},
		{"not there", &carrier.RejectedError{StatusCode: 404}, 404, "Backdial-Rejected: 1", "Not Found\n"},
		{"gone", &carrier.RejectedError{StatusCode: 410}, 410, "Backdial-Rejected: 1", "Gone\n"},
		{"of the user's", &carrier.RejectedError{StatusCode: 451, Header: http.Header{"backdial-rejected": {"1"}}},
			451, "Backdial-Rejected: 1", "Unavailable For Legal Reasons\n"},
		{"for a while", &carrier.RejectedError{StatusCode: 403, Header: http.Header{"retry-after": {"60"}}}, 403, "Backdial-Rejected: ", "Forbidden\n"},
		{"about the request", &carrier.RejectedError{StatusCode: 400}, 400, "Backdial-Rejected: ", "Bad Request\n"},
		{"about a conflict", &carrier.RejectedError{StatusCode: 409}, 409, "Backdial-Rejected: ", "Conflict\n"},
		{"about the server", &carrier.RejectedError{StatusCode: 500}, 500, "Backdial-Rejected: ", "Internal Server Error\n"},
		{"a status", &carrier.RejectedError{StatusCode: 429, Header: http.Header{"retry-after": {"7"}}}, 429, "Retry-After: 7", "Too Many Requests\n"},
		{"all of it", &carrier.RejectedError{StatusCode: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}, Body: []byte("token?")},
			401, "WWW-Authenticate: Bearer", "token?"},
		{"wrapped", errors.Join(reason, &carrier.RejectedError{StatusCode: 503}), 503, "", "Service Unavailable\n"},
		{"no such status", &carrier.RejectedError{StatusCode: 200}, 403, "Backdial-Rejected: ", "Forbidden\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			d := newDoorway(t, transport.WithAuthorize(func(*http.Request) error { return test.err }))
			rejected, told := d.refuses(t, test.status)
			name, value, _ := strings.Cut(test.header, ": ")
			if got := rejected.Header.Get(name); got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
			if got := string(rejected.Body); got != test.body {
				t.Errorf("body %q, want %q", got, test.body)
			}
			if !errors.Is(told, test.err) || !rejectedWith(test.status)(told) {
				t.Errorf("the trace is told %v, want %v, and the status", told, test.err)
			}
		})
	}
	t.Run("over WebSocket", func(t *testing.T) {
		leak.Check(t)
		s := serverFunc(t, nil, transport.WithAuthorize(func(r *http.Request) error {
			return &carrier.RejectedError{StatusCode: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}}
		}))
		srv := httptest.NewServer(s)
		defer srv.Close()
		_, err := transport.DialAndListen(srv.URL, nil)
		rejected, ok := errors.AsType[*carrier.RejectedError](err)
		if !ok || rejected.StatusCode != 401 || rejected.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("error %v, want status 401", err)
		}
	})
}

type whoKey struct{}

// TestAuthorizeAdds expects what authorize finds out to arrive at the handler.
func TestAuthorizeAdds(t *testing.T) {
	leak.Check(t)
	d := newDoorway(t, transport.WithAuthorize(func(r *http.Request) error {
		*r = *r.WithContext(context.WithValue(r.Context(), whoKey{}, r.Header.Get("Token")))
		return nil
	}))
	if err := d.enter(t, http.Header{"Token": {"123"}}); err != nil {
		t.Fatal(err)
	}
	if got := (<-d.dialers).Context().Value(whoKey{}); got != "123" {
		t.Errorf("value %v, want 123", got)
	}
}

// In TestAuthorizeReplaces authorize overrides what a middleware has found out.
func TestAuthorizeReplaces(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	with := func(r *http.Request, who string) *http.Request {
		return r.WithContext(context.WithValue(r.Context(), whoKey{}, who))
	}
	s := serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithAuthorize(func(r *http.Request) error {
		*r = *with(r, "123")
		return nil
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, with(r, "anybody")) }))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	ctx := await.From(t, "Dialer", dialers).Context()
	if got := ctx.Value(whoKey{}); got != "123" {
		t.Errorf("value %v, want 123", got)
	}
	derived, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := derived.Err(); err != nil {
		t.Error("the context has ended with the request:", err)
	}
}

// In TestAuthorizePanics the server refuses one client, and the program goes on.
func TestAuthorizePanics(t *testing.T) {
	leak.Check(t)
	var log syncBuffer
	d := newDoorway(t, transport.WithLogger(textLogger(&log)), transport.WithAuthorize(func(r *http.Request) error {
		if r.Header.Get("Token") == "" {
			panic("no token")
		}
		return nil
	}))
	d.refuses(t, http.StatusInternalServerError)
	if !strings.Contains(log.String(), "no token") || !strings.Contains(log.String(), "admit_test.go") {
		t.Errorf("log %q, want the panic and where it was", log.String())
	}
	if err := d.enter(t, http.Header{"Token": {"123"}}); err != nil {
		t.Error("the next client:", err)
	}
}

// In TestAuthorizeBlocks a function never returns. That costs only places for handshakes.
func TestAuthorizeBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := newDoorway(t, transport.WithMaxHandshakes(2), transport.WithHandshakeTimeout(5*time.Second),
			transport.WithAuthorize(func(r *http.Request) error {
				<-release
				return nil
			}))
		for range 2 {
			began := time.Now()
			if _, told := d.refuses(t, http.StatusServiceUnavailable); !errors.Is(told, context.DeadlineExceeded) {
				t.Errorf("the trace is told %v, want context.DeadlineExceeded", told)
			}
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("refused after %v", took)
			}
		}
		rejected, told := d.refuses(t, http.StatusServiceUnavailable)
		if !errors.Is(told, transport.ErrServerFull) || rejected.Header.Get("Retry-After") != "1" {
			t.Errorf("the trace is told %v, and the client %v; want transport.ErrServerFull", told, rejected.Header)
		}
		close(release)
		synctest.Wait()
		if err := d.enter(t, nil); err != nil {
			t.Error("once the function has returned:", err)
		}
	})
}

// TestAuthorizeTooLate expects the answer to arrive, however late.
func TestAuthorizeTooLate(t *testing.T) {
	leak.Check(t)
	release := make(chan struct{})
	s := serverFunc(t, nil, transport.WithHandshakeTimeout(100*time.Millisecond),
		transport.WithAuthorize(func(*http.Request) error { <-release; return nil }))
	s.Addr = testnet.FreeAddr(t)
	served := make(chan error, 1)
	go func() { served <- s.ListenAndServe() }()
	awaitListening(t, s.Addr)
	_, err := transport.DialAndListen("http://"+s.Addr, nil)
	if !rejectedWith(http.StatusServiceUnavailable)(err) {
		t.Errorf("error %v, want status 503", err)
	}
	close(release)
	s.Close()
	await.From(t, "end of ListenAndServe", served)
}

// TestHandshakeWhileShuttingDown expects a server that shuts down to refuse clients that
// authorize has not let in yet.
func TestHandshakeWhileShuttingDown(t *testing.T) {
	for name, end := range map[string]func(*transport.Server) error{
		"Close":    (*transport.Server).Close,
		"Shutdown": func(s *transport.Server) error { return s.Shutdown(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			entered, release := make(chan struct{}), make(chan struct{})
			s := serverFunc(t, nil, transport.WithAuthorize(func(*http.Request) error {
				close(entered)
				<-release
				return nil
			}))
			srv := httptest.NewServer(s)
			defer srv.Close()
			refused := make(chan error, 1)
			go func() {
				_, err := transport.DialAndListen(srv.URL, nil)
				refused <- err
			}()
			await.From(t, "call of authorize", entered)
			if err := end(s); err != nil {
				t.Error(err)
			}
			if err := await.From(t, "answer", refused); !rejectedWith(http.StatusServiceUnavailable)(err) {
				t.Errorf("error %v, want status 503", err)
			}
			close(release)
		})
	}
}

// In TestPanicsFreeHandshakes a function panics, and only net/http recovers it.
func TestPanicsFreeHandshakes(t *testing.T) {
	leak.Check(t)
	srv := httptest.NewUnstartedServer(serverFunc(t, nil, transport.WithMaxHandshakes(1),
		transport.WithCheckOrigin(func(r *http.Request) bool {
			if r.Header.Get("Token") == "" {
				panic("no token")
			}
			return true
		})))
	srv.Config.ErrorLog = quiet
	srv.Start()
	defer srv.Close()
	if _, err := transport.DialAndListen(srv.URL, nil); err == nil {
		t.Error("a client came in")
	}
	lis, err := transport.DialAndListen(srv.URL, http.Header{"Token": {"123"}})
	if err != nil {
		t.Fatal("the next client:", err)
	}
	lis.Close()
}

// TestMaxHandshakes expects at most so many handshakes at a time.
func TestMaxHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most, now atomic.Int32
		d := newDoorway(t, transport.WithMaxHandshakes(3), transport.WithAuthorize(func(*http.Request) error {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return nil
		}))
		entered := make(chan error, 10)
		for range 10 {
			go func() { entered <- d.enter(t, nil) }()
		}
		in := 0
		for range 10 {
			if err := <-entered; err == nil {
				in++
			} else if r, ok := errors.AsType[*carrier.RejectedError](err); !ok || r.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("error %v, want status 503", err)
			}
		}
		if in != 3 || most.Load() != 3 {
			t.Errorf("%d clients came in, %d at a time, want 3", in, most.Load())
		}
		if err := d.enter(t, nil); err != nil {
			t.Error("later:", err)
		}
	})
}

// TestMaxSessions expects at most so many clients at a time.
func TestMaxSessions(t *testing.T) {
	leak.Check(t)
	d := newDoorway(t, transport.WithMaxSessions(2))
	for range 2 {
		if err := d.enter(t, nil); err != nil {
			t.Fatal(err)
		}
	}
	rejected, told := d.refuses(t, http.StatusServiceUnavailable)
	if !errors.Is(told, transport.ErrServerFull) || rejected.Header.Get("Retry-After") != "30" {
		t.Errorf("the trace is told %v, and the client %v; want transport.ErrServerFull", told, rejected.Header)
	}
	one := <-d.dialers
	one.Close()
	for began := time.Now(); ; { // until its end has been announced
		err := d.enter(t, nil)
		if err == nil {
			break
		}
		if time.Since(began) > patience {
			t.Fatal("once there is room:", err)
		}
		<-d.refused
	}
}

// In TestCheckOrigin the server decides about pages, whatever the carrier does.
func TestCheckOrigin(t *testing.T) {
	certFile, keyFile, roots := certificate(t)
	for _, c := range []carrier.Carrier{ws.New(), webtransport.New()} {
		t.Run(c.Name(), func(t *testing.T) {
			leak.Check(t)
			told := make(chan error, 1)
			enter := func(origin string, opts ...transport.ServerOption) error {
				opts = append([]transport.ServerOption{transport.WithCarriers(c), transport.WithTrace(transport.Trace{
					HandshakeFailed: func(_ *http.Request, err error) { told <- err },
				})}, opts...)
				s := serverFunc(t, nil, opts...)
				s.Addr = testnet.FreeAddr(t)
				served := make(chan error, 1)
				go func() { served <- s.ListenAndServeTLS(certFile, keyFile) }()
				defer func() {
					s.Close()
					<-served
				}()
				header := http.Header{"Origin": {origin}}
				client := transport.NewClient("https://"+s.Addr, header, transport.WithCarriers(c),
					transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: time.Millisecond}), // it may not listen yet
					transport.WithRetry(func(err error) bool { return !rejectedWith(http.StatusForbidden)(err) }),
					transport.WithMuxes(yamuxmux.New()), transport.WithTLSConfig(&tls.Config{RootCAs: roots}))
				lis, err := client.DialAndListenContext(within(t))
				if err == nil {
					lis.Close()
				}
				return err
			}
			const page = "https://app.example"
			allow := func(r *http.Request) bool { return r.Header.Get("Origin") == page }
			if err := enter(page); !rejectedWith(http.StatusForbidden)(err) {
				t.Errorf("a page of somebody else: %v, want status 403", err)
			}
			if err := await.From(t, "HandshakeFailed", told); !errors.Is(err, carrier.ErrOrigin) {
				t.Errorf("a page of somebody else: the trace is told %v, want carrier.ErrOrigin", err)
			}
			if err := enter(page, transport.WithCheckOrigin(allow)); err != nil {
				t.Errorf("a page that is allowed: %v", err)
			}
			if err := enter(page, transport.WithAllowedOrigins(page)); err != nil {
				t.Errorf("a page of an allowed origin: %v", err)
			}
			if err := enter("https://other.example", transport.WithCheckOrigin(allow)); !rejectedWith(http.StatusForbidden)(err) {
				t.Errorf("a page that is not: %v, want status 403", err)
			}
			if err := await.From(t, "HandshakeFailed", told); !errors.Is(err, carrier.ErrOrigin) || !rejectedWith(http.StatusForbidden)(err) {
				t.Errorf("a page that is not: the trace is told %v, want carrier.ErrOrigin, and status 403", err)
			}
		})
	}
}

// In TestShutdownRefuses a server that shuts down answers new clients. For that it goes on
// listening.
func TestShutdownRefuses(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	s := serverFunc(t, func(d *transport.Dialer) { dialers <- d })
	s.Addr = testnet.FreeAddr(t)
	served := make(chan error, 1)
	go func() { served <- s.ListenAndServe() }()
	awaitListening(t, s.Addr)
	lis, err := transport.DialAndListenContext(within(t), "http://"+s.Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	d := await.From(t, "Dialer", dialers)
	far := dialled(t, d, "running")
	near := accepted(t, lis, "running")
	done := shutdown(t.Context(), s)
	await.From(t, "the beginning of Shutdown", d.Draining())
	_, err = transport.DialAndListen("http://"+s.Addr, nil)
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	if !ok || rejected.StatusCode != http.StatusServiceUnavailable || rejected.Header.Get("Retry-After") != "1" {
		t.Errorf("a new client: %v, want status 503 with Retry-After", err)
	}
	// A client that reuses connections would go on asking this server.
	answer, err := http.Get("http://" + s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || !answer.Close {
		t.Errorf("the answer is %s and the connection closes: %v, want status 503, and true", answer.Status, answer.Close)
	}
	select {
	case err := <-served:
		t.Error("the server listens no more, while Shutdown waits:", err)
	default:
	}
	io.WriteString(near, "answer")
	near.Close()
	if got, err := io.ReadAll(far); string(got) != "answer" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	far.Close()
	if err := await.From(t, "end of Shutdown", done); err != nil {
		t.Error("shutdown:", err)
	}
	if err := await.From(t, "end of ListenAndServe", served); err != transport.ErrServerClosed {
		t.Errorf("serve: %v, want transport.ErrServerClosed", err)
	}
}

// TestFullCloses sends a request to a server that is full. The answer closes the connection, so
// that the next request can reach another server.
func TestFullCloses(t *testing.T) {
	leak.Check(t)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(*transport.Dialer) {}), transport.WithMaxSessions(1))
	s := httptest.NewServer(server)
	defer s.Close()
	defer server.Close()
	lis, err := transport.DialAndListenContext(within(t), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	answer, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || !answer.Close {
		t.Errorf("the answer is %s and the connection closes: %v, want status 503, and true", answer.Status, answer.Close)
	}
}

// TestConnectedAlready sends the request of a client that has a session to this server. The
// answer closes the connection, so that the next request can reach another server.
func TestConnectedAlready(t *testing.T) {
	leak.Check(t)
	s := httptest.NewServer(transport.NewServer(transport.EndpointHandlerFunc(func(*transport.Dialer) {}),
		transport.WithServerID("one")))
	defer s.Close()
	r, err := http.NewRequest(http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {"backdial.v1.yamux"},
		"Backdial-Connected": {"two, one"},
	}
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMisdirectedRequest || !answer.Close {
		t.Errorf("the answer is %s and the connection closes: %v, want status 421, and true", answer.Status, answer.Close)
	}
}
