package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

func sameInfo(t *testing.T, s Stack) {
	made := s.start(t, nil, nil, nil)
	server, client := made.dialer.Info(), made.listener.Info()
	if server.Carrier != client.Carrier || server.Mux != client.Mux || server.Protocol != client.Protocol {
		t.Errorf("server: %+v\nclient: %+v", server, client)
	}
	if client.Carrier != s.Carrier.Name() || client.Mux != s.Muxer.Name() || client.Protocol != s.Muxer.Protocol() {
		t.Errorf("info %+v of a session by %s and %s", client, s.Carrier.Name(), s.Muxer.Protocol())
	}
	for _, info := range []transport.Info{server, client} {
		if info.LocalAddr == nil || info.RemoteAddr == nil || info.Since.IsZero() {
			t.Errorf("info %+v is incomplete", info)
		}
	}
	if made.listener.Addr() == nil {
		t.Error("a listener without an address")
	}
}

func headerArrives(t *testing.T, s Stack) {
	made := s.start(t, http.Header{"Deviceid": {"123"}}, nil, nil)
	if got := made.dialer.Header.Get("DeviceId"); got != "123" {
		t.Errorf("DeviceId %q, want 123", got)
	}
	ctx := made.dialer.Context()
	if got := ctx.Value(contextKey{}); got != "value" {
		t.Errorf("context value %v, want that of the request", got)
	}
	derived, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := derived.Err(); err != nil {
		t.Error("the context has ended with the request:", err)
	}
	made.listener.Close()
	await(t, "end of the context", derived.Done())
}

// handlerReturns uses a handler that returns before the first Dial, as all handlers of this
// package do.
func handlerReturns(t *testing.T, s Stack) {
	made := s.start(t, nil, nil, nil)
	go serveEcho(made.listener)
	for range 10 {
		echoes(t, made.dialer)
	}
	if err := made.dialer.Err(); err != nil {
		t.Error("the session has ended:", err)
	}
}

func serveEcho(lis net.Listener) {
	for {
		c, err := lis.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

func echoes(t *testing.T, d *transport.Dialer) {
	t.Helper()
	c, err := d.Dial()
	if err != nil {
		t.Fatal("dial:", err)
	}
	defer c.Close()
	io.WriteString(c, "ping")
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Fatal("read:", err)
	}
}

func overHTTP(t *testing.T, s Stack) {
	made := s.start(t, nil, nil, nil)
	device := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s, %d bytes", r.Method, r.URL.Path, n)
	})}
	served := make(chan error, 1)
	go func() { served <- device.Serve(made.listener) }()
	pool := &http.Transport{DialContext: made.dialer.DialContext}
	defer pool.CloseIdleConnections()
	client := &http.Client{Transport: pool, Timeout: patience}
	for i := range 10 {
		body := io.LimitReader(zeros{}, int64(i)*100_000)
		answer, err := client.Post("http://device/upload", "", body)
		if err != nil {
			t.Fatal("post:", err)
		}
		got, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if want := fmt.Sprintf("POST /upload, %d bytes", i*100_000); string(got) != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	device.Close() // closes the listener
	if err := await(t, "end of Serve", served); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serve: %v, want http.ErrServerClosed", err)
	}
	await(t, "end of the session", made.dialer.Done())
	if _, err := client.Get("http://device/"); !errors.Is(err, transport.ErrClientGone) {
		t.Errorf("get from a client that left: %v, want transport.ErrClientGone", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func serverCloses(t *testing.T, s Stack) {
	made := s.start(t, nil, nil, nil)
	accepting := make(chan error, 1)
	go func() { _, err := made.listener.Accept(); accepting <- err }()
	for range 2 {
		if err := made.server.Close(); err != nil {
			t.Error("close:", err)
		}
	}
	if err := await(t, "end of Accept", accepting); !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("accept: %v, want mux.ErrSessionEnded", err)
	}
	if _, err := made.dialer.Dial(); !errors.Is(err, net.ErrClosed) || errors.Is(err, transport.ErrClientGone) {
		t.Errorf("dial: %v, want net.ErrClosed", err)
	}
	if _, err := s.dialAgain(t, made.server); err == nil {
		t.Error("a closed server accepts a client")
	} else if rejected, ok := errors.AsType[*carrier.RejectedError](err); !ok || rejected.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a client of a closed server: %v, want status 503", err)
	}
}

// dialAgain connects another client.
func (s Stack) dialAgain(t *testing.T, srv *transport.Server) (*transport.Listener, error) {
	url, tls, stop := s.Serve(t, srv)
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.listen(ctx, url, nil, tls)
}

func serverDrains(t *testing.T, s Stack) {
	made := s.start(t, nil, nil, nil)
	conn, err := made.dialer.Dial()
	if err != nil {
		t.Fatal("dial:", err)
	}
	device, err := made.listener.Accept()
	if err != nil {
		t.Fatal("accept:", err)
	}
	done := make(chan error, 1)
	go func() { done <- made.server.Shutdown(t.Context()) }()
	for { // until the shutdown has begun
		c, err := made.dialer.Dial()
		if err != nil {
			break
		}
		c.Close()
	}
	io.WriteString(conn, "request")
	conn.(mux.Stream).CloseWrite()
	if got, err := io.ReadAll(device); string(got) != "request" || err != nil {
		t.Errorf("request: %q, %v", got, err)
	}
	io.WriteString(device, "answer")
	device.Close()
	if got, err := io.ReadAll(conn); string(got) != "answer" || err != nil {
		t.Errorf("answer: %q, %v", got, err)
	}
	select {
	case err := <-done:
		t.Fatal("Shutdown did not wait for the connection in use:", err)
	default:
	}
	conn.Close()
	if err := await(t, "end of Shutdown", done); err != nil {
		t.Error("shutdown:", err)
	}
	await(t, "end of the session", made.listener.Done())
}

// In brokenCarrier a client agrees on the protocol and then does not follow it.
func brokenCarrier(t *testing.T, s Stack) {
	dialers := make(chan *transport.Dialer, 1)
	address, tls, stop := s.Serve(t, s.newServer(t, dialers))
	defer stop()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := s.Carrier.Dial(ctx, &carrier.Request{URL: u, Protocols: []string{s.Muxer.Protocol()}, TLS: tls})
	if err != nil {
		t.Fatal("dial:", err)
	}
	defer conn.Close()
	d := await(t, "Dialer", dialers)
	go io.Copy(io.Discard, conn)
	io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
	await(t, "end of the session", d.Done())
	if err := d.Err(); !errors.Is(err, transport.ErrClientGone) || !errors.Is(err, mux.ErrProtocol) {
		t.Errorf("error %v, want transport.ErrClientGone and mux.ErrProtocol", err)
	}
}
