package cluster_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
)

// In TestCloseDuringEverything replicas and a service close in all ways, several at a time,
// while each dials, waits and is dialled without a time limit. Every call returns.
func TestCloseDuringEverything(t *testing.T) {
	for round := range 10 {
		t.Run(strconv.Itoa(round), testCloseDuringEverything)
	}
}

func testCloseDuringEverything(t *testing.T) {
	s := newSite(t)
	waits := cluster.WithWaitForClient()
	a, b := s.replica(t, "a", waits), s.replica(t, "b", waits)
	a.connect(t, "x", "x")
	b.connect(t, "y", "y")
	var busy sync.WaitGroup
	all := []*cluster.Cluster{a.Cluster, b.Cluster, s.service(t, "c", waits)}
	for _, c := range all {
		reaches(t, c, "x", "x")
	}
	for _, c := range all {
		for _, id := range []string{"x", "y", "nobody"} {
			busy.Go(func() {
				for c.Wait(context.Background(), id) == nil {
					conn, err := c.Dial(context.Background(), id)
					if err != nil {
						return
					}
					conn.Close()
				}
			})
		}
		for range 2 {
			busy.Go(func() { closings[rand.N(len(closings))](c) })
		}
	}
	busy.Go(func() { a.server.Close() })
	busy.Go(func() { b.server.Close() })
	done := make(chan bool)
	go func() {
		defer close(done)
		busy.Wait()
	}()
	await.From(t, "the end of everything", done)
}

// closings are the ways to close a cluster.
var closings = []func(*cluster.Cluster){
	func(c *cluster.Cluster) { c.Close() },
	func(c *cluster.Cluster) { c.Shutdown(context.Background()) },
	func(c *cluster.Cluster) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		c.Shutdown(ctx)
	},
}
