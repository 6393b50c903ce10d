package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/transport"
)

// Sessions count those that a replica has with others, as one end sees them.
type sessions struct{ began, ended atomic.Int64 }

// count returns the option that makes an end count its sessions.
func (s *sessions) count() cluster.Option {
	return cluster.WithTransport(transport.WithTrace(transport.Trace{
		ClientConnected: func(transport.Info) { s.began.Add(1) },
		ClientGone:      func(transport.Info, error) { s.ended.Add(1) },
	}))
}

// open is how many there are.
func (s *sessions) open() int64 { return s.began.Load() - s.ended.Load() }

// most is how many sessions two replicas have at most.
var most = min(runtime.GOMAXPROCS(0), 4)

// TestFewSessions begins many dials at once. They wait for one session, and not each for its
// own: it has room for more connections than a client may open.
func TestFewSessions(t *testing.T) {
	const dials = 600
	s := newSite(t)
	var seen sessions
	a := s.replica(t, "a", seen.count())
	a.connect(t, "x", "x")
	s.located(t, "x", "a")
	c := s.service(t, "c")
	conns := make([]net.Conn, dials)
	var wg sync.WaitGroup
	for i := range dials {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), "x")
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { conn.Close() })
			conns[i] = conn
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, conn := range conns {
		if got := nameOf(t, conn); got != "x" {
			t.Fatalf("reached %q, want x", got)
		}
	}
	if got := seen.began.Load(); got < 1 || got > int64(most) {
		t.Errorf("%d sessions, want %d at most", got, most)
	}
	if got := c.Stats(); got.Peers < 1 || got.Peers > most || got.Remote != dials {
		t.Errorf("the asker has %+v, want %d dials and %d sessions at most", got, dials, most)
	}
	if got := a.Stats().Relayed; got != dials {
		t.Errorf("%d connections are relayed, want %d", got, dials)
	}
	for _, conn := range conns {
		conn.Close()
	}
	await.Until(t, "no connection is relayed", func() bool { return a.Stats().Relayed == 0 })
}

// A share counts the connections that each session has been asked for.
type share struct {
	mu     sync.Mutex // guards below
	of     map[string]int
	failed int // attempts to open a session
}

// count returns the option that makes the asker count into s.
func (s *share) count() cluster.Option {
	s.of = make(map[string]int)
	return cluster.WithTransport(transport.WithTrace(transport.Trace{
		StreamDialed: func(_ context.Context, info transport.Info, _ time.Duration, _ error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.of[info.Session]++
		},
		DialFailed: func(string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failed++
		},
	}))
}

// size returns how many sessions were asked, and the least and the largest share.
func (s *share) size() (sessions, least, largest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shares := slices.Sorted(maps.Values(s.of))
	return len(shares), shares[0], shares[len(shares)-1]
}

// TestSeveralSessions opens so many connections through one replica that they share several
// sessions. With fewer connections there are fewer sessions, and the oldest stays.
func TestSeveralSessions(t *testing.T) {
	s := newSite(t)
	s.replica(t, "a").connect(t, "x", "x")
	var shares share
	c := s.service(t, "c", shares.count(), cluster.WithIdleTimeout(200*time.Millisecond))
	first := dial(t, c, "x")
	var others []net.Conn
	await.Until(t, "each session has a connection", func() bool {
		others = append(others, dial(t, c, "x"))
		if len(others) > 1000 {
			t.Fatal("some sessions get none of 1,000 connections")
		}
		sessions, _, _ := shares.size()
		return sessions == most
	})
	_, _, largest := shares.size()
	for range most * largest {
		others = append(others, dial(t, c, "x"))
	}
	if sessions, least, largest := shares.size(); sessions != most || largest-least > 1 {
		t.Errorf("%d sessions have been asked for %d to %d connections each, want %d, and the same number", sessions, least, largest, most)
	}
	for _, conn := range others {
		conn.Close()
	}
	await.Until(t, "only one session is left", func() bool { return c.Stats().Peers == 1 })
	echoes(t, first, "still here")
}

// TestNoOtherSession uses a network that lets only the first connection pass. All dials
// use that one, and together they try once to make another.
func TestNoOtherSession(t *testing.T) {
	if most == 1 {
		t.Skip("on one processor there is only one session")
	}
	s := newSite(t)
	a, network := s.behind(t, "a")
	a.connect(t, "x", "x")
	var shares share
	c := s.service(t, "c", shares.count())
	dial(t, c, "x")
	network.Set(faultnet.Conditions{Refuse: true})
	await.Until(t, "another session has failed", func() bool {
		dial(t, c, "x")
		shares.mu.Lock()
		defer shares.mu.Unlock()
		return shares.failed > 0
	})
	for range 50 {
		dial(t, c, "x")
	}
	if shares.failed != 1 {
		t.Errorf("%d attempts to have another session, want one", shares.failed)
	}
	if got := c.Stats(); got.Peers != 1 || got.Failed != 0 {
		t.Errorf("%+v, want one session, and that no dial fails", got)
	}
}

// In TestIdleSession a replica closes a session that nobody uses, and keeps one that is in
// use.
func TestIdleSession(t *testing.T) {
	s := newSite(t)
	var ofUsed, ofIdle sessions
	s.replica(t, "used", ofUsed.count()).connect(t, "x", "x")
	s.replica(t, "idle", ofIdle.count()).connect(t, "y", "y")
	c := s.service(t, "c", cluster.WithIdleTimeout(20*time.Millisecond))
	conn := dial(t, c, "x")
	for round := range int64(5) { // which take as long as it takes for a session to be idle
		reaches(t, c, "y", "y")
		await.Until(t, "the idle session is closed", func() bool {
			return ofIdle.ended.Load() == round+1 && c.Stats().Peers == 1
		})
	}
	echoes(t, conn, "still here")
	if ofUsed.open() != 1 || ofUsed.began.Load() != 1 {
		t.Errorf("%d of %d sessions are open, want the one in use", ofUsed.open(), ofUsed.began.Load())
	}
	conn.Close()
	await.Until(t, "the other session is closed", func() bool { return ofUsed.open() == 0 && c.Stats().Peers == 0 })
	reachesNow(t, c, "x", "x")
}

// TestNoIdleTimeout uses the shortest timeout there is. Each dial still has a session, even if
// it gets to it a little later than others.
func TestNoIdleTimeout(t *testing.T) {
	s := newSite(t)
	s.replica(t, "a").connect(t, "x", "x")
	s.located(t, "x", "a")
	c := s.service(t, "c", cluster.WithIdleTimeout(1))
	for range 10 {
		var dials sync.WaitGroup
		for range 200 {
			dials.Go(func() {
				conn, err := c.Dial(t.Context(), "x")
				if err != nil {
					t.Error(err)
					return
				}
				conn.Close()
			})
		}
		dials.Wait()
		await.Until(t, "the session is closed", func() bool { return c.Stats().Peers == 0 })
	}
}

// TestCloseCuts closes each end of a connection across replicas. Its users get an error, and no
// client is disconnected.
func TestCloseCuts(t *testing.T) {
	for _, end := range []string{"asker", "owner"} {
		t.Run(end, func(t *testing.T) {
			s := newSite(t)
			a, c := s.replica(t, "a"), s.replica(t, "c")
			a.connect(t, "x", "x")
			c.connect(t, "y", "y")
			conn := dial(t, c.Cluster, "x")
			closed, open := c, a
			if end == "owner" {
				closed, open = a, c
			}
			var twice sync.WaitGroup
			for range 2 {
				twice.Go(func() { closed.Cluster.Close() })
			}
			twice.Wait()
			isCut(t, conn)
			await.Until(t, "nothing is relayed", func() bool { return a.Stats().Relayed == 0 })
			refuses(t, open.Cluster, map[string]string{"asker": "y", "owner": "x"}[end])
			reachesNow(t, a.Cluster, "x", "x") // each still has its own
			reachesNow(t, c.Cluster, "y", "y")
		})
	}
}

// TestClosed uses a cluster that is closed.
func TestClosed(t *testing.T) {
	s := newSite(t)
	a, b := s.replica(t, "a"), s.replica(t, "b")
	b.connect(t, "x", "x")
	s.located(t, "x", "b")
	for _, opts := range [][]cluster.Option{nil, {cluster.WithWaitForClient()}} {
		c := s.service(t, "c", opts...)
		c.Close()
		for _, id := range []string{"x", "nobody"} {
			_, err := c.Dial(t.Context(), id)
			if id == "nobody" && opts == nil {
				if !errors.Is(err, cluster.ErrNotConnected) {
					t.Errorf("dial: %v, want ErrNotConnected", err)
				}
			} else if !errors.Is(err, net.ErrClosed) {
				t.Errorf("dial %s: %v, want net.ErrClosed", id, err)
			}
		}
		if err := c.Wait(t.Context(), "nobody"); !errors.Is(err, net.ErrClosed) || !errors.Is(err, cluster.ErrNotConnected) {
			t.Errorf("wait: %v, want net.ErrClosed", err)
		}
	}
	a.Cluster.Close()
	for name, err := range map[string]error{
		"ListenAndServe": a.ListenAndServe("127.0.0.1:0"),
		"Serve":          a.Serve(listen(t)),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v, want net.ErrClosed", name, err)
		}
	}
}

// TestCloseWhileConnecting closes a cluster that waits for a silent replica.
func TestCloseWhileConnecting(t *testing.T) {
	s := newSite(t)
	said := s.hearsay()
	said.claims(cluster.Node{Name: "a", Run: "a", URL: "https://" + silentAddr(t)})
	for name, end := range map[string]func(*cluster.Cluster) error{
		"Close":    (*cluster.Cluster).Close,
		"Shutdown": func(c *cluster.Cluster) error { return c.Shutdown(t.Context()) },
	} {
		c := s.service(t, "c", cluster.WithRegistry(said), cluster.WithTryTimeout(time.Minute))
		done := make(chan error, 1)
		go func() {
			_, err := c.Dial(t.Context(), "x")
			done <- err
		}()
		await.Until(t, "it connects", func() bool { return c.Stats().Peers == 1 })
		began := time.Now()
		if err := end(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := await.From(t, "the dial", done); err == nil {
			t.Errorf("%s: the dial has not failed", name)
		}
		if took := time.Since(began); took > 3*time.Second { // a handshake may take 5 s
			t.Errorf("%s: it took %v", name, took)
		}
	}
}

// dial opens a connection to a client that says its name, which is its ID.
func dial(t *testing.T, c *cluster.Cluster, id string) transport.Conn {
	t.Helper()
	if err := c.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if got := nameOf(t, conn); got != id {
		t.Fatalf("client %s is %q", id, got)
	}
	return conn.(transport.Conn)
}

// echoes expects that a word comes back.
func echoes(t *testing.T, conn net.Conn, word string) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "%q\n", word); err != nil {
		t.Fatal("write:", err)
	}
	var got string
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer conn.SetReadDeadline(time.Time{})
	if _, err := fmt.Fscanf(conn, "%q\n", &got); err != nil || got != word {
		t.Fatalf("read %q, %v, want %q", got, err, word)
	}
}
