package fleet_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/rhttp"
	"github.com/backdial/backdial/transport"
)

// A webDevice is a client that serves HTTP.
type webDevice struct {
	lis      *transport.Listener
	conns    atomic.Int32
	requests atomic.Int32
}

// connectWeb connects one.
func (s *site) connectWeb(t *testing.T, id string, h http.Handler, opts ...transport.ClientOption) *webDevice {
	t.Helper()
	opts = append([]transport.ClientOption{transport.WithCarriers(s.network)}, opts...)
	lis, err := transport.DialAndListenContext(t.Context(), "mem://server", http.Header{"Deviceid": {id}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	w := &webDevice{lis: lis}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.requests.Add(1)
			h.ServeHTTP(rw, r)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				w.conns.Add(1)
			}
		},
	}
	go srv.Serve(lis)
	t.Cleanup(func() { srv.Close() })
	if _, err := s.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return w
}

// says answers with a text and what was asked.
func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", text, r.Method, r.URL.Path, body)
	})
}

// do sends a request, and returns what is answered.
func do(t *testing.T, rt http.RoundTripper, method, url string, body io.Reader) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: rt}).Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return string(got), err
}

func TestTransport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		one, two := s.connectWeb(t, "1", says("one")), s.connectWeb(t, "2", says("two"))
		rt := s.Transport()
		defer rt.CloseIdleConnections()
		for range 3 {
			if got, err := do(t, rt, "GET", "http://1/screenshot", nil); got != "one GET /screenshot " || err != nil {
				t.Errorf("client 1 answers %q, %v", got, err)
			}
			if got, err := do(t, rt, "POST", "http://2:80/x", strings.NewReader("body")); got != "two POST /x body" || err != nil {
				t.Errorf("client 2 answers %q, %v", got, err)
			}
		}
		if one.conns.Load() != 1 || two.conns.Load() != 1 {
			t.Errorf("%d and %d connections for three requests each", one.conns.Load(), two.conns.Load())
		}
		if n := rt.Sessions(); n != 2 {
			t.Errorf("the transport has %d sessions, want 2", n)
		}
		one.lis.Close()
		synctest.Wait()
		if n := rt.Sessions(); n != 1 {
			t.Errorf("the transport has %d sessions after one has ended, want 1", n)
		}
		if _, err := do(t, rt, "GET", "http://1/", nil); !errors.Is(err, transport.ErrClientGone) || !isNotConnected(err) {
			t.Errorf("a client that has left: %v, want fleet.NotConnectedError", err)
		}
		if _, err := do(t, rt, "GET", "http://3/", nil); !isNotConnected(err) {
			t.Errorf("a client that never came: %v, want fleet.NotConnectedError", err)
		}
		if _, err := do(t, rt, "GET", "http://[::1]/", nil); !errors.Is(err, fleet.ErrInvalidID) {
			t.Errorf("no client at all: %v, want fleet.ErrInvalidID", err)
		}
	})
}

func isNotConnected(err error) bool {
	_, ok := errors.AsType[*fleet.NotConnectedError](err)
	return ok
}

// TestTransportMoves sends requests all the time while the client moves again and
// again: none fails, and nothing holds up the moves.
func TestTransportMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		w := s.connectWeb(t, "1", says("one"), transport.WithReconnect(transport.Backoff{Stable: time.Second}))
		rt := s.Transport()
		defer rt.CloseIdleConnections()
		stop, stopped := make(chan bool), make(chan int)
		go func() {
			sent := 0
			for {
				select {
				case <-stop:
					stopped <- sent
					return
				case <-time.After(10 * time.Millisecond):
				}
				sent++
				if got, err := do(t, rt, "POST", "http://1/x", strings.NewReader("body")); got != "one POST /x body" || err != nil {
					t.Errorf("the client answers %q, %v", got, err)
				}
			}
		}()
		for range 10 {
			time.Sleep(2 * time.Second)
			d, _ := s.Lookup("1")
			if err := d.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := s.Wait(t.Context(), "1"); err != nil {
				t.Error(err)
			}
		}
		close(stop)
		if sent := <-stopped; int(w.requests.Load()) != sent {
			t.Errorf("%d requests were sent, and %d served", sent, w.requests.Load())
		}
	})
}

// In TestTransportRetries a session ends while the transport keeps a connection of it, and
// does not know yet. Requests go to the next session, once.
func TestTransportRetries(t *testing.T) {
	for _, test := range []struct {
		name   string
		method string
		body   func() io.Reader
		want   string
		served int32
	}{
		{"no body", "GET", func() io.Reader { return nil }, "newer GET /x ", 1},
		{"body", "POST", func() io.Reader { return strings.NewReader("body") }, "newer POST /x body", 1},
		{"body that can be read once", "POST", func() io.Reader { return io.MultiReader(strings.NewReader("body")) }, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t)
				s.connectWeb(t, "1", says("older"))
				older, _ := s.Lookup("1")
				rt := s.Transport()
				defer rt.CloseIdleConnections()
				do(t, rt, "GET", "http://1/", nil)
				var newer *webDevice
				r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
					GetConn: func(string) { // when a session has been chosen
						if newer == nil {
							older.Close()
							newer = s.connectWeb(t, "1", says("newer"))
						}
					},
				}), test.method, "http://1/x", test.body())
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				answer, err := rt.RoundTrip(r)
				if err == nil {
					body, _ := io.ReadAll(answer.Body)
					answer.Body.Close()
					got = string(body)
				}
				if got != test.want || (err == nil) != (test.want != "") || newer.requests.Load() != test.served {
					t.Errorf("answer %q, %v of %d requests, want %q of %d", got, err, newer.requests.Load(), test.want, test.served)
				}
			})
		})
	}
}

// In TestTransportBodyFails the body of a request fails with another request's error. That
// says nothing about the client.
func TestTransportBodyFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.connectWeb(t, "1", says("one"))
		s.connectWeb(t, "2", says("two"))
		rt := s.Transport()
		defer rt.CloseIdleConnections()
		d, _ := s.Lookup("1")
		d.Close()
		gone := rhttp.NewTransport(d)
		_, cause := do(t, gone, "GET", "http://1/", nil)
		body, w := io.Pipe()
		w.CloseWithError(cause)
		if _, err := do(t, rt, "POST", "http://2/", body); !errors.Is(err, rhttp.ErrNoConnection) {
			t.Errorf("error %v, want what the body ended with", err)
		}
		if got, err := do(t, rt, "GET", "http://2/", nil); got != "two GET / " || err != nil {
			t.Errorf("client 2 answers %q, %v", got, err)
		}
	})
}

// TestTransportNotHeldUp closes the idle connections to a client that does not read. They
// use TLS, so that Close has something to write. Requests to others must not wait for it.
func TestTransportNotHeldUp(t *testing.T) {
	leak.Check(t)                              // and no bubble: a goroutine that waits for a mutex stops its time
	secure := httptest.NewUnstartedServer(nil) // for its certificate
	secure.StartTLS()
	defer secure.Close()
	s := newSite(t)
	s.connectWeb(t, "2", says("two"))
	network := newFrozen(s.network)
	lis, err := transport.DialAndListen("mem://server", http.Header{"Deviceid": {"1"}}, transport.WithCarriers(network))
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go (&http.Server{Handler: says("one"), TLSConfig: secure.TLS}).ServeTLS(lis, "", "")
	if _, err := s.Wait(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	rt := s.Transport(func(rt *http.Transport) {
		rt.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		rt.ForceAttemptHTTP2 = false
	})
	if _, err := do(t, rt, "GET", "https://1/", nil); err != nil {
		t.Fatal(err)
	}
	c, _ := s.Dial(t.Context(), "1")
	defer c.Close()
	network.set(true)
	defer network.set(false)
	c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	c.Write(make([]byte, 1<<20)) // more than is queued
	closed := make(chan bool)
	go func() {
		rt.CloseIdleConnections()
		close(closed)
	}()
	began := time.Now()
	if got, err := do(t, rt, "GET", "http://2/", nil); got != "two GET / " || err != nil {
		t.Errorf("client 2 answers %q, %v", got, err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("client 2 was reached after %v", took)
	}
	network.set(false)
	<-closed
	rt.CloseIdleConnections()
}
