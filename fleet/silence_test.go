package fleet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xtaci/smux"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/rhttp"
	"github.com/backdial/backdial/transport"
)

// What Transport promises of a client that is stopped, or cut off.
const (
	silentFor = 20 * time.Second // after which a request without an answer fails
	awayFor   = 30 * time.Second // after which a request that waits for the client fails
)

// In TestTransportSilent a client falls silent. Requests without a deadline end, whether they
// were sent before or not.
func TestTransportSilent(t *testing.T) {
	for _, test := range []struct {
		name     string
		opts     []fleet.Option
		keep     time.Duration // how often the server asks for a sign of life
		later    time.Duration // when the request is sent
		least    time.Duration
		most     time.Duration
		expected error
	}{
		{"connected", nil, time.Minute, time.Second, silentFor, silentFor, rhttp.ErrSilent},
		{"connected, waiting for clients", []fleet.Option{fleet.WithWaitForClient()}, time.Minute, time.Second, silentFor, silentFor, rhttp.ErrSilent},
		{"about to be lost", nil, 15 * time.Second, 25 * time.Second, 0, 6 * time.Second, transport.ErrClientGone},
		{"about to be lost, waiting for clients", []fleet.Option{fleet.WithWaitForClient()}, 15 * time.Second, 25 * time.Second, awayFor, awayFor, transport.ErrClientGone},
		{"lost, waiting for clients", []fleet.Option{fleet.WithWaitForClient()}, time.Second, time.Minute, awayFor, awayFor, transport.ErrClientGone},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, test.opts...)
				network := s.connectFrozen(t, says("one"), test.keep)
				rt := s.Transport()
				defer rt.CloseIdleConnections()
				if got, err := do(t, rt, "GET", "http://1/", nil); got != "one GET / " || err != nil {
					t.Fatalf("the client answers %q, %v", got, err)
				}
				network.set(true)
				time.Sleep(test.later)
				began := time.Now()
				_, err := do(t, rt, "GET", "http://1/", nil)
				if took := time.Since(began); took < test.least || took > test.most+time.Millisecond {
					t.Errorf("the request took %v, want %v to %v", took, test.least, test.most)
				}
				if !errors.Is(err, test.expected) {
					t.Errorf("error %v, want %v", err, test.expected)
				}
				if errors.Is(err, rhttp.ErrSilent) && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("error %v, want os.ErrDeadlineExceeded too", err)
				}
			})
		})
	}
}

// In TestProxySilent a user asks for a client that falls silent.
func TestProxySilent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		network := s.connectFrozen(t, says("one"), time.Minute)
		p := &fleet.ReverseProxy{Fleet: s.Fleet}
		for _, want := range []int{http.StatusOK, http.StatusGatewayTimeout} {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/1/", nil))
			if w.Code != want {
				t.Errorf("the answer is %d %s, want %d", w.Code, w.Body, want)
			}
			network.set(true)
		}
	})
}

// In TestTransportSilentInBody a client falls silent in the middle of its answer, whose body
// ends with the session.
func TestTransportSilentInBody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		network := s.connectFrozen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), 15*time.Second)
		rt := s.Transport()
		defer rt.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := rt.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		network.set(true)
		began := time.Now()
		_, err = io.ReadAll(answer.Body)
		if took := time.Since(began); took <= silentFor || took > 31*time.Second || !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("the body ended after %v with %v, want mux.ErrSessionEnded within half a minute", took, err)
		}
	})
}

// connectFrozen connects client 1 over a carrier that can stand still. The server asks it
// for signs of life as often as keep says.
func (s *site) connectFrozen(t *testing.T, h http.Handler, keep time.Duration) *frozen {
	t.Helper()
	s.serve(t, "careful", transport.WithKeepAlive(keep, keep))
	network := newFrozen(s.network)
	lis, err := transport.DialAndListenContext(t.Context(), "mem://careful", http.Header{"Deviceid": {"1"}}, transport.WithCarriers(network))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	t.Cleanup(func() { network.set(false) })
	go http.Serve(lis, h)
	if _, err := s.Wait(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	return network
}

// In TestTransportSlow clients are alive and slow: with the answer, with its body, or with
// reading the request.
func TestTransportSlow(t *testing.T) {
	const long = 10 * time.Minute
	for name, handle := range map[string]http.HandlerFunc{
		"answer": func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			time.Sleep(long)
			io.Copy(w, r.Body)
		},
		"body": func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			w.(http.Flusher).Flush()
			time.Sleep(long)
			io.Copy(w, r.Body)
		},
		"reading": func(w http.ResponseWriter, r *http.Request) {
			body := new(strings.Builder)
			for range 10 {
				io.CopyN(body, r.Body, 1<<20/10)
				time.Sleep(long / 10)
			}
			io.Copy(body, r.Body)
			io.WriteString(w, body.String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t)
				s.connectWeb(t, "1", handle)
				rt := s.Transport()
				defer rt.CloseIdleConnections()
				body := strings.Repeat("x", 1<<20)
				if got, err := do(t, rt, "POST", "http://1/", strings.NewReader(body)); got != body || err != nil {
					t.Errorf("%d bytes are answered, %v, want all", len(got), err)
				}
			})
		})
	}
}

// In TestTransportSlowAndMute a slow client never answers pings, because its library does not.
func TestTransportSlowAndMute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		m := smuxmux.New()
		s.serve(t, "patient", transport.WithMuxes(m), transport.WithKeepAlive(-1, 0))
		conn, err := s.network.Dial(t.Context(), &carrier.Request{
			URL:       &url.URL{Scheme: "mem", Host: "patient"},
			Header:    http.Header{"Deviceid": {"1"}},
			Protocols: []string{m.Protocol()},
		})
		if err != nil {
			t.Fatal(err)
		}
		config := smux.DefaultConfig()
		config.Version, config.KeepAliveDisabled = 2, true
		session, err := smux.Server(conn, config)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		go http.Serve(smuxListener{session}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute)
			io.WriteString(w, "at last")
		}))
		if _, err := s.Wait(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		rt := s.Transport()
		defer rt.CloseIdleConnections()
		if got, err := do(t, rt, "GET", "http://1/", nil); got != "at last" || err != nil {
			t.Errorf("the client answers %q, %v", got, err)
		}
	})
}

// A smuxListener is the streams of a session of xtaci/smux.
type smuxListener struct{ *smux.Session }

func (l smuxListener) Accept() (net.Conn, error) { return l.AcceptStream() }
func (l smuxListener) Addr() net.Addr            { return l.LocalAddr() }

// In TestTransportWaits a request waits for a client until its deadline.
func TestTransportWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithWaitForClient())
		rt := s.Transport()
		defer rt.CloseIdleConnections()
		for _, wait := range []time.Duration{time.Second, time.Hour} {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, "GET", "http://1/", nil)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := rt.RoundTrip(r); !errors.Is(err, context.DeadlineExceeded) || !isNotConnected(err) {
				t.Errorf("error %v, want context.DeadlineExceeded and fleet.NotConnectedError", err)
			}
			if took := time.Since(began); took != wait {
				t.Errorf("the request waited for %v, want %v", took, wait)
			}
		}
	})
}
