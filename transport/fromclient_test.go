package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

func echo(_ *transport.Dialer, c net.Conn) {
	io.Copy(c, c)
	c.Close()
}

// In TestClientDialsUnasked clients open connections that the server does not accept.
func TestClientDialsUnasked(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, _ := s.listen(t, transport.Backoff{})
		d := <-s.dialers
		for range 100 {
			c, err := lis.Dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
				t.Fatalf("read: %v, want mux.ErrReset", err)
			}
			c.Close()
		}
		if err := d.Err(); err != nil {
			t.Fatal("the session has ended:", err)
		}
		if _, err := lis.Dial(); err != nil {
			t.Fatal(err)
		}
		<-d.Done()
		if err := d.Err(); !errors.Is(err, mux.ErrProtocol) {
			t.Errorf("a client that goes on trying: %v, want mux.ErrProtocol", err)
		}
		<-s.dialers // it is not banned
	})
}

// TestClientDialsWhileAway waits for a session.
func TestClientDialsWhileAway(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.deploy(t, transport.WithAcceptFromClient(echo))
		lis, _ := s.listen(t, transport.Backoff{})
		s.answer(status(http.StatusServiceUnavailable, ""))
		d := <-s.dialers
		d.Close()
		<-d.Done()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := lis.DialContext(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial: %v, want context.DeadlineExceeded", err)
		}
		time.AfterFunc(time.Minute, func() { s.answer(nil) })
		echoes(t, lis, 1000)
		lis.Close()
		if _, err := lis.Dial(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial after Close: %v, want net.ErrClosed", err)
		}
	})
}

// TestClientDialsWhileServerLeaves waits for the next server.
func TestClientDialsWhileServerLeaves(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, _ := s.listen(t, transport.Backoff{})
		d := <-s.dialers
		dialled(t, d, "running")
		accepted(t, lis, "running")
		s.answer(status(http.StatusServiceUnavailable, ""))
		done := shutdown(t.Context(), s.deploy(t, transport.WithAcceptFromClient(echo)))
		time.Sleep(time.Minute) // the server waits for the connection only
		time.AfterFunc(time.Minute, func() { s.answer(nil) })
		echoes(t, lis, 1000)
		d.Close()
		<-done
	})
}

// In TestClientDialsWithoutReconnect the session is gone.
func TestClientDialsWithoutReconnect(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.deploy(t, transport.WithAcceptFromClient(echo))
		lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, transport.WithCarriers(s.network))
		if err != nil {
			t.Fatal(err)
		}
		echoes(t, lis, 1000)
		(<-s.dialers).Close()
		<-lis.Done()
		if _, err := lis.Dial(); !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("dial: %v, want mux.ErrSessionEnded", err)
		}
	})
}

// TestClientDialsTooOften expects a limit on the connections at a time.
func TestClientDialsTooOften(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.deploy(t, transport.WithAcceptFromClient(echo), transport.WithLimits(mux.Config{MaxStreams: 2}))
		lis, _ := s.listen(t, transport.Backoff{})
		for range 2 {
			dialled(t, lis, "x")
		}
		c := dialled(t, lis, "x")
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
			t.Errorf("read: %v, want mux.ErrReset", err)
		}
		if err := (<-s.dialers).Err(); err != nil {
			t.Error("the session has ended:", err)
		}
	})
}

// TestClientDialsPanic loses one session, and not the program.
func TestClientDialsPanic(t *testing.T) {
	leak.Check(t)
	var log syncBuffer
	dialers := make(chan *transport.Dialer, 1)
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d },
		transport.WithLogger(textLogger(&log)),
		transport.WithAcceptFromClient(func(*transport.Dialer, net.Conn) { panic("oh no") })))
	defer srv.Close()
	lis, err := transport.DialAndListenContext(within(t), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	d := await.From(t, "Dialer", dialers)
	if _, err := lis.Dial(); err != nil {
		t.Fatal(err)
	}
	await.From(t, "end of the session", d.Done())
	if !strings.Contains(log.String(), "oh no") {
		t.Errorf("log %q, want the panic", log.String())
	}
}

// TestClientDialsWslis does not open what such a server would never accept.
func TestClientDialsWslis(t *testing.T) {
	leak.Check(t)
	sessions := make(chan *yamux.Session, 1)
	srv := httptest.NewServer(wslisServer(func(s *yamux.Session, _ http.Header) { sessions <- s }))
	defer srv.Close()
	lis, err := transport.DialAndListenContext(within(t), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if _, err := lis.Dial(); err == nil || !strings.Contains(err.Error(), "does not negotiate") {
		t.Errorf("dial: %v, want an error that says why not", err)
	}
	s := await.From(t, "session", sessions)
	defer s.Close()
	if n := s.NumStreams(); n != 0 {
		t.Errorf("the server has %d streams", n)
	}
}
