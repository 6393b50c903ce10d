package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// A tcpBalancer leads TCP connections to its servers by turns.
type tcpBalancer struct {
	ln   net.Listener
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex // guards below
	servers []string
	next    int
}

// newTCPBalancer returns one that is closed when t is done.
func newTCPBalancer(t *testing.T) *tcpBalancer {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &tcpBalancer{ln: ln, stop: stop}
	b.wg.Go(func() { b.serve(ctx) })
	t.Cleanup(func() {
		stop()
		ln.Close()
		b.wg.Wait()
	})
	return b
}

func (b *tcpBalancer) serve(ctx context.Context) {
	for {
		client, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.wg.Go(func() { b.relay(ctx, client) })
	}
}

// relay copies until either end has ended the connection.
func (b *tcpBalancer) relay(ctx context.Context, client net.Conn) {
	defer client.Close()
	b.mu.Lock()
	addr := b.servers[b.next%len(b.servers)]
	b.next++
	b.mu.Unlock()
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	ctx, cancel := context.WithCancel(ctx)
	b.wg.Go(func() { io.Copy(server, client); cancel() })
	b.wg.Go(func() { io.Copy(client, server); cancel() })
	<-ctx.Done()
}

// A netReplica is a server on a network that can be cut.
type netReplica struct {
	*replica
	network *faultnet.TCP
}

// add appends a server to those that are asked.
func (b *tcpBalancer) add(t *testing.T, id string) netReplica {
	r := newReplica(t, id, transport.WithDrainSpread(-1))
	around := httptest.NewUnstartedServer(r)
	around.Config.ErrorLog = quiet
	around.Start()
	t.Cleanup(around.Close)
	network, err := faultnet.ListenTCP(around.Listener.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = append(b.servers, network.Addr())
	return netReplica{r, network}
}

// kill ends all connections of a server as its host would if the program died.
func (r netReplica) kill() {
	r.network.Set(faultnet.Conditions{Refuse: true})
	r.network.Cut(faultnet.Reset)
}

// listen connects with n sessions to b, and answers what is dialled.
func (b *tcpBalancer) listen(t *testing.T, n int) (lis *transport.Listener, told *changes) {
	t.Helper()
	told = new(changes)
	lis, err := transport.DialAndListenContext(within(t), "ws://"+b.ln.Addr().String(), nil,
		transport.WithSessions(n), transport.WithTrace(told.trace()),
		transport.WithReconnect(transport.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond, Stable: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go serveEcho(lis)
	return lis, told
}

// A caller keeps one connection busy, whose bytes have to come back.
type caller struct {
	conn net.Conn
	stop chan struct{}
	done chan error
}

func call(t *testing.T, d *transport.Dialer) *caller {
	t.Helper()
	conn, err := d.Dial()
	if err != nil {
		t.Fatal("dial:", err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &caller{conn, make(chan struct{}), make(chan error, 1)}
	go func() { c.done <- c.run() }()
	return c
}

func (c *caller) run() error {
	defer c.conn.Close()
	sent, got := make([]byte, 10_000), make([]byte, 10_000)
	for i := byte(0); ; i++ {
		select {
		case <-c.stop:
			return nil
		default:
		}
		c.conn.SetDeadline(time.Now().Add(patience))
		sent[0], sent[len(sent)-1] = i, i
		if _, err := c.conn.Write(sent); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.conn, got); err != nil {
			return err
		}
		if got[0] != i || got[len(got)-1] != i {
			return errors.New("something else came back")
		}
	}
}

// finish ends c, which has to have gone well.
func (c *caller) finish(t *testing.T) {
	t.Helper()
	close(c.stop)
	if err := await.From(t, "end of a connection", c.done); err != nil {
		t.Error("a connection in use:", err)
	}
}

// TestSessionsOfKilledServer kills one of three servers: connections to the others go
// on, and it has its session again when it is back.
func TestSessionsOfKilledServer(t *testing.T) {
	leak.Check(t)
	b := newTCPBalancer(t)
	replicas := []netReplica{b.add(t, "one"), b.add(t, "two"), b.add(t, "three")}
	_, told := b.listen(t, 3)
	var callers []*caller
	for _, r := range replicas {
		callers = append(callers, call(t, await.From(t, "session to "+r.id, r.dialers)))
	}
	replicas[1].kill()
	if err := await.From(t, "end of the connection", callers[1].done); err == nil {
		t.Error("a connection to a server that was killed goes on")
	}
	replicas[1].network.Set(faultnet.Conditions{})
	back := call(t, await.From(t, "session to the server that is back", replicas[1].dialers))
	for _, c := range []*caller{callers[0], callers[2], back} {
		c.finish(t)
	}
	for _, c := range told.take() {
		if c.To != connected {
			t.Errorf("state %v, want to be connected all the time", c.To)
		}
	}
}

// TestSessionsOfRollingDeploy replaces all servers at once, under load.
func TestSessionsOfRollingDeploy(t *testing.T) {
	leak.Check(t)
	b := newTCPBalancer(t)
	before := []netReplica{b.add(t, "one"), b.add(t, "two")}
	lis, told := b.listen(t, 2)
	var callers []*caller
	for _, r := range before {
		callers = append(callers, call(t, await.From(t, "session to "+r.id, r.dialers)))
	}
	after := []netReplica{b.add(t, "three"), b.add(t, "four")}
	var done []<-chan error
	for _, r := range before {
		done = append(done, shutdown(within(t), r.Server))
	}
	for _, r := range after {
		d := await.From(t, "session to "+r.id, r.dialers)
		echoes(t, d, 1000)
		callers = append(callers, call(t, d))
	}
	if n := len(lis.Sessions()); n != 4 {
		t.Errorf("%d sessions while all servers wait for their connections, want 4", n)
	}
	for _, c := range callers {
		c.finish(t)
	}
	for _, done := range done {
		if err := await.From(t, "end of a server", done); err != nil {
			t.Error("shutdown:", err)
		}
	}
	for _, c := range told.take() {
		if c.To != connected && c.To != moving {
			t.Errorf("state %v, want to have a session all the time", c.To)
		}
	}
	if err := lis.Shutdown(within(t)); err != nil {
		t.Error("shutdown:", err)
	}
}

// In TestSessionsToWslis one session goes to a server of wslis, which has no ID.
func TestSessionsToWslis(t *testing.T) {
	leak.Check(t)
	sessions := make(chan *yamux.Session, 10)
	srv := httptest.NewServer(wslisServer(func(s *yamux.Session, _ http.Header) { sessions <- s }))
	defer srv.Close()
	lis, err := transport.DialAndListenContext(within(t), srv.URL, nil,
		transport.WithSessions(3), transport.WithReconnect(transport.Backoff{Min: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go serveEcho(lis)
	for range 2 { // it comes back, too
		s := await.From(t, "session", sessions)
		echoes(t, dialFunc(s.Open), 1000)
		if n := len(lis.Sessions()); n != 1 || len(sessions) > 0 {
			t.Errorf("%d sessions, want one", n)
		}
		s.Close()
	}
	(await.From(t, "session", sessions)).Close()
}
