package metrics_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// TestStreams counts streams and bytes while they are in use.
func TestStreams(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t)
	lis, d := s.connect(t)
	go serveEcho(lis)
	c := dial(t, d)
	io.WriteString(c, "request")
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	has(t, s.registry, `
		backdial_dial_duration_seconds_count 1
		backdial_dials_total{result="ok"} 1
		backdial_sessions{carrier="ws",mux="qmux"} 1
		backdial_sessions_opened_total{carrier="ws",mux="qmux"} 1
		backdial_stream_read_bytes_total{carrier="ws",mux="qmux"} 5
		backdial_stream_written_bytes_total{carrier="ws",mux="qmux"} 7
		backdial_streams{carrier="ws",mux="qmux"} 1
		backdial_streams_opened_total{carrier="ws",mux="qmux"} 1`)
	c.Close()
	c.Close()
	dial(t, d)
	has(t, s.registry, `
		backdial_streams{carrier="ws",mux="qmux"} 1
		backdial_streams_opened_total{carrier="ws",mux="qmux"} 2`)
}

// TestStreamErrors counts each stream once, and those that end well not at all.
func TestStreamErrors(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t)
	lis, d := s.connect(t)
	accept := func() net.Conn {
		c, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	fails := func(c net.Conn) {
		t.Helper()
		for range 2 {
			if _, err := io.Copy(io.Discard, c); err == nil {
				t.Error("read has not failed")
			}
		}
		c.Close()
	}

	well := dial(t, d)
	accept().Close()
	io.ReadAll(well)
	well.SetDeadline(time.Unix(1, 0))
	well.Read(make([]byte, 1))
	well.Close()

	given := dial(t, d)
	accept().Close()
	for err := error(nil); err == nil; {
		_, err = given.Write(make([]byte, 1<<10))
	}
	given.Close()

	conn, d := s.raw(t)
	cut, other := dial(t, d), dial(t, d)
	conn.Close()
	fails(cut)
	fails(other)
	_, d = s.connect(t)
	own := dial(t, d)
	d.Close()
	fails(own)
	has(t, s.registry, `
		backdial_stream_errors_total{carrier="ws",mux="qmux",reason="closed"} 1
		backdial_stream_errors_total{carrier="ws",mux="qmux",reason="reset"} 1
		backdial_stream_errors_total{carrier="ws",mux="yamux",reason="session_ended"} 2`)
}

// In TestSessions sessions end in every way.
func TestSessions(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t, transport.WithMuxes(yamuxmux.New(), smuxmux.New()))
	here, _ := s.connect(t)
	s.connect(t, transport.WithMuxes(smuxmux.New()))
	has(t, s.registry, `
		backdial_sessions{carrier="ws",mux="smux"} 1
		backdial_sessions{carrier="ws",mux="yamux"} 1`)
	here.Close()
	_, d := s.connect(t)
	d.Close()
	cut, _ := s.raw(t)
	cut.Close()
	hostile, _ := s.raw(t)
	hostile.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	has(t, s.registry, `
		backdial_session_duration_seconds_count{carrier="ws",mux="yamux"} 4
		backdial_sessions{carrier="ws",mux="smux"} 1
		backdial_sessions_closed_total{carrier="ws",mux="yamux",reason="closed"} 1
		backdial_sessions_closed_total{carrier="ws",mux="yamux",reason="closed_by_peer"} 1
		backdial_sessions_closed_total{carrier="ws",mux="yamux",reason="lost"} 1
		backdial_sessions_closed_total{carrier="ws",mux="yamux",reason="protocol"} 1
		backdial_sessions_opened_total{carrier="ws",mux="smux"} 1
		backdial_sessions_opened_total{carrier="ws",mux="yamux"} 4`)

	s = newSite(t, transport.WithKeepAlive(50*time.Millisecond, 50*time.Millisecond))
	s.raw(t) // and nothing more
	has(t, s.registry, `backdial_sessions_closed_total{carrier="ws",mux="yamux",reason="silent"} 1`)
}

// In TestDials calls of Dial end in every way.
func TestDials(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t, transport.WithLimits(mux.Config{AcceptBacklog: 1}))
	lis, d := s.connect(t)
	dial(t, d) // which is all that the client has room for
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	d.DialContext(ctx, "", "")
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	d.DialContext(ctx, "", "")
	has(t, s.registry, `
		backdial_dial_duration_seconds_count 1
		backdial_dials_total{result="canceled"} 1
		backdial_dials_total{result="ok"} 1
		backdial_dials_total{result="timeout"} 1`)
	lis.Close()
	backdialtest.From(t, "end of the session", d.Done())
	d.Dial()

	lis, d = s.connect(t)
	open := dial(t, d)
	accepted, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	shut := make(chan error, 1)
	go func() { shut <- lis.Shutdown(within(t)) }()
	backdialtest.From(t, "the beginning of Shutdown", d.Draining())
	d.Dial()
	accepted.Close()
	open.Close()
	backdialtest.From(t, "end of Shutdown", shut)

	_, d = s.connect(t)
	d.Close()
	d.Dial()
	has(t, s.registry, `
		backdial_dial_duration_seconds_count 2
		backdial_dials_total{result="canceled"} 1
		backdial_dials_total{result="closed"} 1
		backdial_dials_total{result="draining"} 1
		backdial_dials_total{result="gone"} 1
		backdial_dials_total{result="ok"} 2
		backdial_dials_total{result="timeout"} 1`)
}

// In TestHandshakes handshakes fail in every way.
func TestHandshakes(t *testing.T) {
	backdialtest.CheckLeaks(t)
	entered := make(chan struct{})
	s := newSite(t, transport.WithHandshakeTimeout(100*time.Millisecond),
		transport.WithAuthorize(func(r *http.Request) error {
			switch r.Header.Get("Do") {
			case "401":
				return &carrier.RejectedError{StatusCode: http.StatusUnauthorized}
			case "418":
				return &carrier.RejectedError{StatusCode: http.StatusTeapot}
			case "error":
				return errors.New("not you")
			case "panic":
				panic(http.ErrAbortHandler) // which is not logged
			case "tell":
				entered <- struct{}{}
				<-r.Context().Done()
			case "wait":
				<-r.Context().Done()
			}
			return nil
		}))
	fails := func(ctx context.Context, name, value string, opts ...transport.ClientOption) {
		t.Helper()
		if _, err := transport.DialAndListenContext(ctx, s.url, http.Header{name: {value}}, opts...); err == nil {
			t.Errorf("%s: %s: there is a session", name, value)
		}
	}
	for _, what := range []string{"401", "418", "error", "panic", "wait"} {
		fails(t.Context(), "Do", what)
	}
	fails(t.Context(), "Origin", "https://evil.example")
	fails(t.Context(), "Do", "", transport.WithMuxes(smuxmux.New()))
	answer, err := http.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	fails(ctx, "Do", "tell")
	malformed, err := http.NewRequest(http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	malformed.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	if answer, err = http.DefaultClient.Do(malformed); err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	has(t, s.registry, `
		backdial_handshake_failures_total{code="",reason="canceled"} 1
		backdial_handshake_failures_total{code="",reason="no_common_mux"} 1
		backdial_handshake_failures_total{code="",reason="not_handshake"} 1
		backdial_handshake_failures_total{code="",reason="origin"} 1
		backdial_handshake_failures_total{code="",reason="other"} 1
		backdial_handshake_failures_total{code="",reason="timeout"} 1
		backdial_handshake_failures_total{code="401",reason="rejected"} 1
		backdial_handshake_failures_total{code="500",reason="rejected"} 1
		backdial_handshake_failures_total{code="503",reason="rejected"} 1
		backdial_handshake_failures_total{code="other",reason="rejected"} 1`)

	s = newSite(t, transport.WithMaxSessions(1))
	s.connect(t)
	fails(t.Context(), "Do", "")
	s.Close()
	fails(t.Context(), "Do", "")
	has(t, s.registry, `
		backdial_handshake_failures_total{code="",reason="closing"} 1
		backdial_handshake_failures_total{code="",reason="full"} 1`)
}
