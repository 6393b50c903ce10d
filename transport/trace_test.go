package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// events records what a Trace is told.
type events chan string

func (e events) trace() transport.Trace {
	return transport.Trace{
		ClientConnected: func(i transport.Info) { e <- fmt.Sprintf("connected %s %s", i.Carrier, i.Mux) },
		ClientGone: func(_ transport.Info, err error) {
			e <- fmt.Sprintf("gone, closed here: %v", errors.Is(err, net.ErrClosed))
		},
		HandshakeFailed: func(r *http.Request, err error) { e <- "handshake failed " + r.Method },
		DialStarted:     func(carrier string) { e <- "dial started " + carrier },
		DialFailed:      func(carrier string, err error) { e <- "dial failed " + carrier },
		StreamDialed: func(_ context.Context, _ transport.Info, _ time.Duration, err error) {
			e <- fmt.Sprintf("stream dialed, %v", err)
		},
		StreamOpened: func(transport.Info) { e <- "stream opened" },
		StreamClosed: func(_ transport.Info, s transport.StreamStats) {
			e <- fmt.Sprintf("stream closed, read %d, written %d, %v", s.BytesRead, s.BytesWritten, s.Err)
		},
	}
}

func (e events) expect(t *testing.T, side string, want ...string) {
	t.Helper()
	for _, want := range want {
		if got := await.From(t, want, e); got != want {
			t.Errorf("%s: event %q, want %q", side, got, want)
		}
	}
}

func TestTrace(t *testing.T) {
	leak.Check(t)
	server, client := make(events, 100), make(events, 100)
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithTrace(server.trace())))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil, transport.WithTrace(client.trace()))
	if err != nil {
		t.Fatal(err)
	}
	server.expect(t, "server", "connected ws qmux")
	client.expect(t, "client", "dial started ws", "connected ws qmux")

	d := await.From(t, "Dialer", dialers)
	c, err := d.Dial()
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "request")
	c.(transport.Conn).CloseWrite() // also on a traced stream
	io.ReadAll(accepted)
	io.WriteString(accepted, "answer")
	accepted.Close()
	accepted.Close()
	io.ReadAll(c)
	c.Close()
	server.expect(t, "server", "stream opened", "stream dialed, <nil>", "stream closed, read 6, written 7, <nil>")
	client.expect(t, "client", "stream opened", "stream closed, read 7, written 6, <nil>")

	lis.Close()
	client.expect(t, "client", "gone, closed here: true")
	server.expect(t, "server", "gone, closed here: false")
	_, err = d.Dial()
	server.expect(t, "server", fmt.Sprintf("stream dialed, %v", err))

	visit(t, srv.URL)
	server.expect(t, "server", "handshake failed GET")
	transport.DialAndListen("ftp://example.com", nil, transport.WithTrace(client.trace()))
	client.expect(t, "client", "dial started ws", "dial failed ws")
}

// TestTraceOfReset expects the end of a stream to be reported once, however often it is reset.
func TestTraceOfReset(t *testing.T) {
	t.Run("yamux", func(t *testing.T) {
		traceOfReset(t, yamuxmux.New(), transport.Conn.Reset)
	})
	t.Run("qmux, with a code", func(t *testing.T) {
		const code = 44
		err := traceOfReset(t, qmux.New(), func(c transport.Conn) error { return c.(mux.CodeResetter).ResetWithCode(code) })
		if e, ok := errors.AsType[*mux.ResetError](err); !ok || e.Code != code {
			t.Errorf("the end that is reset tells of %v, want code %d", err, code)
		}
	})
}

// traceOfReset returns what the end that is reset is told.
func traceOfReset(t *testing.T, m mux.Muxer, how func(transport.Conn) error) (told error) {
	leak.Check(t)
	muxes := transport.WithMuxes(m)
	closed := make(chan error, 100)
	trace := transport.WithTrace(transport.Trace{StreamClosed: func(_ transport.Info, s transport.StreamStats) { closed <- s.Err }})
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }, trace, muxes))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil, trace, muxes)
	if err != nil {
		t.Fatal(err)
	}
	d := await.From(t, "Dialer", dialers)
	c, err := d.Dial()
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	reset := func() error { return how(c.(transport.Conn)) }
	if err := reset(); err != nil {
		t.Error(err)
	}
	if err := await.From(t, "end of the stream", closed); err != nil {
		t.Errorf("the end that resets tells of %v, want no error", err)
	}
	for _, again := range []func() error{reset, c.Close, reset} {
		if err := again(); err != nil {
			t.Error(err)
		}
	}
	io.ReadAll(accepted)
	accepted.Close()
	told = await.From(t, "end of the stream", closed)
	if !errors.Is(told, mux.ErrReset) {
		t.Errorf("the end that is reset tells of %v, want mux.ErrReset", told)
	}
	lis.Close()
	if len(closed) > 0 {
		t.Errorf("the end of a stream is told %d times too often", len(closed))
	}
	return told
}

// In TestTraces each of two traces gets the calls that it asks for.
func TestTraces(t *testing.T) {
	leak.Check(t)
	told := make(events, 100)
	tells := func(what string) func(transport.Info) { return func(transport.Info) { told <- what } }
	moves := func(who string) func(transport.Info, int, int) {
		return func(_ transport.Info, read, written int) {
			told <- fmt.Sprintf("moved %d and %d, %s", read, written, who)
		}
	}
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d },
		transport.WithTrace(transport.Trace{ClientConnected: tells("connected, first"), StreamMoved: moves("first")}),
		transport.WithTrace(transport.Trace{ClientConnected: tells("connected, second"), StreamOpened: tells("opened, second"), StreamMoved: moves("second")}),
		transport.WithTrace(transport.Trace{ClientConnected: tells("connected, third"), StreamMoved: moves("third")})))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	c, err := await.From(t, "Dialer", dialers).Dial()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "request")
	told.expect(t, "server", "connected, first", "connected, second", "connected, third", "opened, second",
		"moved 0 and 7, first", "moved 0 and 7, second", "moved 0 and 7, third")
}

// TestTraceOfBytes counts those of a stream that is still in use.
func TestTraceOfBytes(t *testing.T) {
	leak.Check(t)
	moved := make(chan [2]int, 100)
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithTrace(transport.Trace{
		StreamMoved: func(_ transport.Info, read, written int) { moved <- [2]int{read, written} },
	})))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go serveEcho(lis)
	c, err := await.From(t, "Dialer", dialers).Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "request")
	if got := await.From(t, "bytes", moved); got != [2]int{0, 7} {
		t.Errorf("%v bytes were read and written, want 0 and 7", got)
	}
	io.ReadFull(c, make([]byte, 7))
	for read := 0; read < 7; {
		read += await.From(t, "bytes", moved)[0]
	}
}

func TestLogger(t *testing.T) {
	leak.Check(t)
	var logged syncBuffer
	logger := transport.WithLogger(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }, logger))
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	go serveEcho(lis)
	d := await.From(t, "Dialer", dialers)
	echoes(t, d, 10)
	visit(t, srv.URL)
	d.Close()
	for _, want := range []string{
		`level=INFO msg="backdial: client connected" carrier=ws mux=qmux remote=127.0.0.1:`,
		`level=DEBUG msg="backdial: stream opened"`,
		`level=DEBUG msg="backdial: stream closed"`,
		`read=10 written=10`,
		`level=WARN msg="backdial: handshake failed"`,
		`level=INFO msg="backdial: client gone"`,
	} {
		await.From(t, "log of "+want, logs(&logged, want))
	}
}

// logs is closed once b contains want.
func logs(b *syncBuffer, want string) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		for !strings.Contains(b.String(), want) {
			runtime.Gosched()
		}
		close(c)
	}()
	return c
}

// TestSilence makes sure that nothing is printed unless asked for.
func TestSilence(t *testing.T) {
	const child = "BACKDIAL_TEST_SILENCE"
	if os.Getenv(child) == "" {
		passed, out := suite.Rerun(t, child+"=1")
		want := regexp.MustCompile(`^=== RUN   TestSilence\n--- PASS: TestSilence \(.*\)\nPASS\n$`)
		if !passed || !want.MatchString(out) {
			t.Errorf("a process that does nothing else printed\n%s", out)
		}
		return
	}
	leak.Check(t)
	server := serverFunc(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	url := "http://" + ln.Addr().String()
	lis, err := transport.DialAndListen(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	lis.Close()
	visit(t, url)
	garbage, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(garbage, "\x16\x03\x01garbage\r\n\r\n")
	io.ReadAll(garbage)
	garbage.Close()
	server.Close()
	await.From(t, "end of Serve", served)
}
