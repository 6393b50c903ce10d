package transport_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/transport"
)

// A site is mem://server, whose answers can be chosen.
type site struct {
	network *mem.Carrier
	dialers chan *transport.Dialer

	mu       sync.Mutex
	server   *transport.Server
	refuse   http.HandlerFunc // instead of the server, or nil
	requests []*http.Request
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{network: mem.New(), dialers: make(chan *transport.Dialer, 100)}
	s.deploy(t)
	e, err := s.network.Listen("server", nil, s)
	if err != nil {
		t.Fatal(err)
	}
	go e.Serve()
	t.Cleanup(func() { e.Close() })
	return s
}

// deploy puts another server in the place of the one that is there, which it
// returns.
func (s *site) deploy(t *testing.T, opts ...transport.ServerOption) (before *transport.Server) {
	t.Helper()
	opts = append([]transport.ServerOption{transport.WithCarriers(s.network)}, opts...)
	server := serverFunc(t, func(d *transport.Dialer) { s.dialers <- d }, opts...)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.server = s.server, server
	return before
}

// current is the server that is there.
func (s *site) current() *transport.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	refuse, server := s.refuse, s.server
	s.mu.Unlock()
	if refuse != nil {
		refuse(w, r)
		return
	}
	server.ServeHTTP(w, r)
}

// answer lets refuse answer requests, or the server again if refuse is nil.
func (s *site) answer(refuse http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

func (s *site) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// status answers with a status, and a Retry-After header unless that is "".
func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		http.Error(w, "not now", code)
	}
}

// verdict answers like a server that sends a client away for good.
func verdict(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Backdial-Rejected", "1")
		http.Error(w, "not you", code)
	}
}

// changes are those of a listener's state.
type changes struct {
	mu  sync.Mutex
	all []transport.StateChange
}

func (c *changes) trace() transport.Trace {
	return transport.Trace{StateChanged: func(s transport.StateChange) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all = append(c.all, s)
	}}
}

func (c *changes) take() []transport.StateChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	return all
}

func (c *changes) states() (all []transport.State) {
	for _, s := range c.take() {
		all = append(all, s.To)
	}
	return all
}

// listen connects to the site with WithReconnect. The listener is closed when t is
// done.
func (s *site) listen(t *testing.T, b transport.Backoff, opts ...transport.ClientOption) (*transport.Listener, *changes) {
	t.Helper()
	told := new(changes)
	opts = append([]transport.ClientOption{transport.WithCarriers(s.network), transport.WithReconnect(b), transport.WithTrace(told.trace())}, opts...)
	lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	return lis, told
}

const (
	connecting = transport.StateConnecting
	connected  = transport.StateConnected
	moving     = transport.StateMoving
	waiting    = transport.StateWaiting
	draining   = transport.StateDraining
	ended      = transport.StateEnded
)

// reconnects runs a test in a bubble.
func reconnects(t *testing.T, test func(*testing.T, *site)) {
	synctest.Test(t, func(t *testing.T) { test(t, newSite(t)) })
}
