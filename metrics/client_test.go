package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/metrics"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/transport"
)

// newClient returns a registry, and the option that puts a client's metrics into it.
func newClient() (*prometheus.Registry, transport.ClientOption) {
	c := metrics.NewClient()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	return r, transport.WithTrace(c.Trace())
}

// In TestClient a client loses a session, moves to another, and ends.
func TestClient(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t)
	r, trace := newClient()
	backoff := transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: time.Millisecond})
	lis, d := s.connect(t, trace, backoff)
	go serveEcho(lis)
	has(t, r, `
		backdial_client_connects_total{carrier="ws",code="",result="ok"} 1
		backdial_client_listeners{state="connected"} 1
		backdial_client_sessions{carrier="ws",mux="qmux"} 1
		backdial_client_states_entered_total{state="connected"} 1`)
	d.Close()
	d = backdialtest.From(t, "next Dialer", s.dialers)
	has(t, r, `
		backdial_client_connects_total{carrier="ws",code="",result="ok"} 2
		backdial_client_listeners{state="connected"} 1
		backdial_client_sessions_closed_total{carrier="ws",mux="qmux",reason="closed_by_peer"} 1
		backdial_client_sessions_opened_total{carrier="ws",mux="qmux"} 2
		backdial_client_states_entered_total{state="connected"} 2
		backdial_client_states_entered_total{state="connecting"} 1
		backdial_client_states_entered_total{state="waiting"} 1`)
	if err := d.Shutdown(within(t)); err != nil {
		t.Fatal(err)
	}
	backdialtest.From(t, "next Dialer", s.dialers)
	has(t, r, `
		backdial_client_listeners{state="connected"} 1
		backdial_client_moves_total{outcome="moved"} 1
		backdial_client_states_entered_total{state="connected"} 3
		backdial_client_states_entered_total{state="connecting"} 1
		backdial_client_states_entered_total{state="moving"} 1
		backdial_client_states_entered_total{state="waiting"} 1`)
	lis.Close()
	has(t, r, `
		backdial_client_listeners{state="connected"} 0
		backdial_client_states_entered_total{state="connected"} 3
		backdial_client_states_entered_total{state="connecting"} 1
		backdial_client_states_entered_total{state="ended"} 1
		backdial_client_states_entered_total{state="moving"} 1
		backdial_client_states_entered_total{state="waiting"} 1`)
}

// In TestMoves a server asks clients to move, and they cannot.
func TestMoves(t *testing.T) {
	backdialtest.CheckLeaks(t)
	r, trace := newClient()
	refuse := make(chan int, 100) // the next clients, with a status
	s := newSite(t)
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case status := <-refuse:
			w.WriteHeader(status)
		default:
			s.ServeHTTP(w, r)
		}
	}))
	defer gate.Close()
	s.url = gate.URL
	busy := func(err error) bool { // and not when the session is lost in the end
		rejected, ok := errors.AsType[*carrier.RejectedError](err)
		return ok && rejected.StatusCode == http.StatusServiceUnavailable
	}
	backoff := transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: time.Millisecond})
	_, d := s.connect(t, trace, backoff, transport.WithRetry(busy))
	refuse <- http.StatusServiceUnavailable
	refuse <- http.StatusForbidden
	shut := make(chan error, 1)
	go func() { shut <- d.Shutdown(within(t)) }()
	has(t, r, `
		backdial_client_connects_total{carrier="ws",code="",result="ok"} 1
		backdial_client_connects_total{carrier="ws",code="403",result="rejected"} 1
		backdial_client_connects_total{carrier="ws",code="503",result="rejected"} 1
		backdial_client_moves_total{outcome="stayed"} 1`)
	backdialtest.From(t, "end of Shutdown", shut)
}

// In TestMovesEnd sessions end while their clients wait to move.
func TestMovesEnd(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t)
	r, trace := newClient()
	waiting := func() (*transport.Listener, *transport.Dialer) {
		lis, d := s.connect(t, trace, transport.WithReconnect(transport.Backoff{Min: time.Hour, Max: time.Hour}))
		go d.Shutdown(within(t))
		has(t, r, `backdial_client_listeners{state="moving"} 1`)
		return lis, d
	}
	lis, _ := waiting()
	lis.Close() // which is no outcome
	_, d := waiting()
	d.Close()
	has(t, r, `
		backdial_client_listeners{state="waiting"} 1
		backdial_client_moves_total{outcome="lost"} 1
		backdial_client_states_entered_total{state="connected"} 2
		backdial_client_states_entered_total{state="ended"} 1
		backdial_client_states_entered_total{state="moving"} 2
		backdial_client_states_entered_total{state="waiting"} 1`)
}

// In TestConnects attempts fail.
func TestConnects(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := newSite(t)
	r, trace := newClient()
	secure := httptest.NewUnstartedServer(s.Server)
	secure.Config.ErrorLog = quiet
	secure.StartTLS()
	defer secure.Close()
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer stuck.Close()
	for _, url := range []string{secure.URL, "http://127.0.0.1:1"} {
		if _, err := transport.DialAndListen(url, nil, trace); err == nil {
			t.Errorf("%s: there is a session", url)
		}
	}
	transport.DialAndListen(s.url, nil, trace, transport.WithMuxes(smuxmux.New()))
	transport.DialAndListen(stuck.URL, nil, trace, transport.WithHandshakeTimeout(50*time.Millisecond))
	ctx, cancel := context.WithCancel(t.Context())
	canceling := transport.WithTrace(transport.Trace{DialStarted: func(string) { cancel() }})
	transport.DialAndListenContext(ctx, stuck.URL, nil, trace, canceling)
	has(t, r, `
		backdial_client_connects_total{carrier="ws",code="",result="canceled"} 1
		backdial_client_connects_total{carrier="ws",code="",result="certificate"} 1
		backdial_client_connects_total{carrier="ws",code="",result="other"} 1
		backdial_client_connects_total{carrier="ws",code="",result="timeout"} 1
		backdial_client_connects_total{carrier="ws",code="other",result="rejected"} 1`)
}

// TestOptions sets all there are.
func TestOptions(t *testing.T) {
	r := everything(t, metrics.WithNamespace("tunnels"), metrics.WithDialBuckets(.5, 5))
	buckets := 0
	for _, line := range exposed(t, r) {
		if !strings.HasPrefix(line, "tunnels_") {
			t.Errorf("%s does not begin with the namespace", line)
		}
		if strings.HasPrefix(line, "tunnels_dial_duration_seconds_bucket") {
			buckets++
		}
	}
	if buckets != 3 {
		t.Errorf("%d buckets, want 2 and that of all", buckets)
	}
}
