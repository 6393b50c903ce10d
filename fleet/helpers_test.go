package fleet_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

// A site is mem://server, and the fleet of its clients.
type site struct {
	*fleet.Fleet
	network *mem.Carrier
	server  *transport.Server
}

// newSite serves a fleet whose clients are known by a header. It is closed when t is
// done.
func newSite(t *testing.T, opts ...fleet.Option) *site {
	t.Helper()
	s := &site{Fleet: fleet.New(fleet.ByHeader("DeviceId"), opts...), network: mem.New()}
	s.serve(t, "server", transport.WithAuthorize(s.Authorize))
	return s
}

// serve gives the fleet the clients of another server.
func (s *site) serve(t *testing.T, name string, opts ...transport.ServerOption) {
	t.Helper()
	s.server = transport.NewServer(s.Fleet, append([]transport.ServerOption{transport.WithCarriers(s.network)}, opts...)...)
	e, err := s.network.Listen(name, nil, s.server)
	if err != nil {
		t.Fatal(err)
	}
	go e.Serve()
	t.Cleanup(func() {
		s.server.Close()
		e.Close()
	})
}

// try connects a client, which answers each connection with its name. Its listener
// closes at once, because the time of a bubble stands still once the test has returned.
func (s *site) try(t *testing.T, id, name string, opts ...transport.ClientOption) (*transport.Listener, error) {
	t.Helper()
	opts = append([]transport.ClientOption{transport.WithCarriers(s.network), transport.WithCloseGrace(-1)}, opts...)
	lis, err := transport.DialAndListenContext(t.Context(), "mem://server", http.Header{"Deviceid": {id}}, opts...)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { lis.Close() })
	go answer(lis, name)
	return lis, nil
}

func answer(lis net.Listener, name string) {
	for {
		c, err := lis.Accept()
		if err != nil {
			return
		}
		go func() {
			fmt.Fprintln(c, name)
			io.Copy(io.Discard, c) // until the server closes it
			c.Close()
		}()
	}
}

// connect is try, for a client that is let in.
func (s *site) connect(t *testing.T, id, name string, opts ...transport.ClientOption) *transport.Listener {
	t.Helper()
	lis, err := s.try(t, id, name, opts...)
	if err != nil {
		t.Fatal("connect:", err)
	}
	return lis
}

// dial returns a connection to a client, and the client's name.
func (s *site) dial(t *testing.T, id string) (net.Conn, string) {
	t.Helper()
	c, err := s.Dial(t.Context(), id)
	if err != nil {
		t.Fatal("dial:", err)
	}
	return c, nameOf(t, c)
}

func nameOf(t *testing.T, c net.Conn) string {
	t.Helper()
	var name string
	if _, err := fmt.Fscanln(c, &name); err != nil {
		t.Fatal("read:", err)
	}
	return name
}

// reaches expects that a client is the one with this name.
func (s *site) reaches(t *testing.T, id, name string) {
	t.Helper()
	c, got := s.dial(t, id)
	c.Close()
	if got != name {
		t.Errorf("client %s is %q, want %q", id, got, name)
	}
}

// changes watches a fleet.
func (s *site) changes(ctx context.Context) <-chan fleet.Change {
	all := make(chan fleet.Change, 1000)
	go func() {
		defer close(all)
		for c := range s.Watch(ctx) {
			all <- c
		}
	}()
	return all
}

// bubble runs a test in one, so that time costs nothing.
func bubble(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) }

// A frozen carrier connects, and can then stand still.
type frozen struct {
	carrier.Carrier
	mu     sync.Mutex
	change sync.Cond
	still  bool
}

func newFrozen(c carrier.Carrier) *frozen {
	f := &frozen{Carrier: c}
	f.change.L = &f.mu
	return f
}

func (f *frozen) set(still bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.still = still
	f.change.Broadcast()
}

func (f *frozen) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	c, err := f.Carrier.Dial(ctx, r)
	if err != nil {
		return nil, err
	}
	return &frozenConn{Conn: c, f: f}, nil
}

type frozenConn struct {
	carrier.Conn
	f      *frozen
	closed bool
}

func (c *frozenConn) wait() {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	for c.f.still && !c.closed {
		c.f.change.Wait()
	}
}

func (c *frozenConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait()
	return n, err
}

func (c *frozenConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

func (c *frozenConn) CloseWrite() error {
	c.wait()
	return c.Conn.(carrier.CloseWriter).CloseWrite()
}

func (c *frozenConn) Close() error {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.closed = true
	c.f.change.Broadcast()
	return c.Conn.Close()
}
