package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/transport"
)

// backoff is how long a client waits at most before it connects again.
const backoff = 50 * time.Millisecond

// failovers kills the replica through which a client was dialled, and measures how long
// it takes until another replica reaches that client.
func failovers(b *testing.B) {
	for _, test := range []struct {
		name     string
		sessions int
	}{{"a client with 1 session", 1}, {"a client with 2 sessions", 2}} {
		b.Run("case="+test.name, func(b *testing.B) {
			backdialtest.CheckLeaks(b)
			f := newFailover(b)
			var l, waits harness.Latency
			for range harness.UnlessShort(20, 3) { // whatever b.N is
				took, waited := f.try(test.sessions)
				l.Add(took)
				waits.Add(waited)
			}
			b.ReportMetric(float64(l.Percentile(50)), "p50-ns")
			b.ReportMetric(float64(l.Percentile(90)), "p90-ns")
			b.ReportMetric(float64(l.Percentile(100)), "max-ns")
			b.ReportMetric(float64(waits.Percentile(50)), "backoff-p50-ns")
			b.ReportMetric(0, "ns/op") // it would include the start of replicas
		})
	}
}

// A failover has two replicas that stay up. The first dials, and clients move to the
// second.
type failover struct {
	*site
	first, second *replica
}

func newFailover(b *testing.B) *failover {
	b.Helper()
	s := newSite(b)
	f := &failover{s, s.replica("first"), s.replica("second")}
	stays := s.roams(staying, 1, f.second.at.Clients)
	b.Cleanup(stays.close)
	return f
}

// try returns how long a client could not be reached, and for how much of that it waited
// before it connected.
func (f *failover) try(sessions int) (took, waited time.Duration) {
	f.t.Helper()
	third := f.child("third")
	c := f.roams(roaming, sessions, third.at.Clients, f.second.at.Clients)
	defer c.close()
	if sessions > 1 {
		backdialtest.Until(f.t, "a session to the second replica", func() bool {
			_, ok := f.second.clients.Lookup(roaming)
			return ok
		})
	}
	service := f.dialsThrough(third)
	defer service.Close()
	began := time.Now()
	third.kill()
	if via := f.reach(service, roaming); via != f.second.at.Clients {
		f.t.Fatalf("the client was reached through %s", via)
	}
	return time.Since(began), c.waited()
}

// dialsThrough returns a service that has dialled the client through a process, and has a
// session with the second replica, too. If a client has several sessions, it uses the
// first one found.
func (f *failover) dialsThrough(p *process) *cluster.Cluster {
	f.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		service, err := f.first.service(cluster.WithWaitForClient())
		if err != nil {
			f.t.Fatal(err)
		}
		if f.reach(service, roaming) == p.at.Clients {
			f.reach(service, staying)
			return service
		}
		service.Close()
	}
	f.t.Fatalf("the client was not reached through the replica that is to be killed within %v", patience)
	return nil
}

// reach dials a client, and returns the replica through which it reached the client. The
// client says where it has connected.
func (f *failover) reach(c *cluster.Cluster, id string) (via string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := c.Dial(ctx, id)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte{0}); err != nil {
		f.t.Fatal(err)
	}
	via, err = bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimSuffix(via, "\n")
}

// The IDs of the client that loses a session, and of one of the second replica.
const (
	roaming = "roaming"
	staying = "staying"
)

// A roamer is a client that connects to some replicas in turn, and tells callers through
// which one they have dialled it.
type roamer struct {
	listener *transport.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex // guards below
	addrs []string   // where it connects
	waits time.Duration
}

// roams connects a client with so many sessions, the first one to the first replica.
func (s *site) roams(id string, sessions int, addrs ...string) *roamer {
	s.t.Helper()
	c := &roamer{addrs: addrs}
	c.listener = s.client(id, "",
		transport.WithURLFunc(c.next),
		transport.WithSessions(sessions),
		transport.WithReconnect(transport.Backoff{Min: backoff, Max: backoff}),
		transport.WithTrace(transport.Trace{StateChanged: c.changed}))
	c.serving.Go(c.serve)
	return c
}

// next is where the client connects now.
func (c *roamer) next(context.Context) (url string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	url = "ws://" + c.addrs[0]
	c.addrs = append(c.addrs[1:], c.addrs[0])
	return url, nil
}

func (c *roamer) changed(change transport.StateChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits += change.Wait
}

// waited is how long it has waited without a session.
func (c *roamer) waited() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waits
}

func (c *roamer) serve() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.serving.Go(func() {
			defer conn.Close()
			if _, err := io.ReadFull(conn, make([]byte, 1)); err == nil {
				fmt.Fprintln(conn, conn.RemoteAddr())
			}
		})
	}
}

func (c *roamer) close() {
	c.listener.Close()
	c.serving.Wait()
}
