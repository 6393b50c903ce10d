package faulttest

import (
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/transport"
)

// TestReplicaCutFromEngine cuts a replica with clients off from the engine, and from nobody
// else.
func TestReplicaCutFromEngine(t *testing.T) {
	eachWay(t, func(t *testing.T, fail func(...*backdialtest.TCP)) {
		s, a, b, c := around(t)
		own, known, cold := s.device("own", "own-1", c), s.device("known", "known-1", c), s.device("cold", "cold-1", c)
		leaves := s.device("leaves", "leaves-1", c)
		near, far := s.device("near", "near-1", a), s.device("far", "far-1", a)
		b.finds(cold, c)
		b.finds(leaves, c)
		b.finds(far, a)
		s.allFind(map[*device]*replica{own: c, known: c, near: a})
		calls := []*call{c.connects(own, c), a.connects(known, c), c.connects(near, a)}

		fail(c.engine)
		// The engine has yet to notice. The asker waits for that, and no longer.
		a.wants("cold", cluster.ErrNotConnected, lease) // which is wrong, as documented
		s.await("the replica notices", func() bool { return !c.registry.Connected() })
		check := func() {
			c.reaches(own, c)
			a.reaches(known, c)
			c.reaches(near, a)
			a.wants("cold", cluster.ErrNotConnected, atOnce)
			c.wants("far", cluster.ErrUnavailable, atOnce)
			s.still(calls...)
		}
		check()
		comes := s.device("comes", "comes-1", c)
		leaves.close()
		s.await("the new client is let in", func() bool { return c.has(comes) && !c.has(leaves) })
		c.reaches(comes, c)
		a.wants("comes", cluster.ErrNotConnected, atOnce)
		check()

		heal(c.engine)
		s.allFind(map[*device]*replica{own: c, known: c, cold: c, comes: c, near: a, far: a})
		for _, r := range s.replicas {
			r.loses("leaves")
		}
		s.still(calls...)
	})
}

// TestReplicasCutFromEachOther cuts two replicas off from each other. A third and the engine
// reach both.
func TestReplicasCutFromEachOther(t *testing.T) {
	eachWay(t, func(t *testing.T, fail func(...*backdialtest.TCP)) {
		s, a, b, c := three(t)
		own, known, cold := s.device("own", "own-1", c), s.device("known", "known-1", c), s.device("cold", "cold-1", c)
		mine, moves, third := s.device("mine", "mine-1", a), s.device("moves", "moves-1", c), s.device("third", "third-1", b)
		b.finds(cold, c)
		s.allFind(map[*device]*replica{own: c, known: c, mine: a, moves: c, third: b})
		local := []*call{a.connects(mine, a), c.connects(own, c), a.connects(third, b), c.connects(third, b)}
		between := a.connects(known, c)
		var tries atomic.Int32 // to connect to a replica
		waiting := a.waiting(cluster.WithTransport(transport.WithTrace(transport.Trace{
			DialStarted: func(string) { tries.Add(1) },
		})))

		fail(a.others, c.others)
		for range 2 {
			a.wantsPeer("known", c)
			a.wantsPeer("cold", c)
			c.wantsPeer("mine", a)
			a.reaches(mine, a)
			c.reaches(own, c)
			a.reaches(third, b)
			c.reaches(third, b)
			s.still(local...)
		}
		// A client that connects elsewhere is reached there.
		moves.moves(b)
		a.finds(moves, b)
		c.finds(moves, b)
		// A caller that waits for a client waits for this, too.
		ctx, cancel := s.within(patience)
		defer cancel()
		found := make(chan error, 1)
		go func() {
			conn, err := waiting.Dial(ctx, "cold")
			if err == nil {
				var there *call
				if there, err = greet(ctx, conn); err == nil && there.device != "cold-1" {
					t.Errorf("reached %s", there.device)
				}
				conn.Close()
			}
			found <- err
		}()
		s.await("somebody tries", func() bool { return tries.Load() > 0 })

		heal(a.others, c.others)
		s.allFind(map[*device]*replica{own: c, known: c, cold: c, mine: a, moves: b, third: b})
		s.still(local...)
		if err := <-found; err != nil {
			t.Errorf("a caller that has waited for a client: %v", err)
		}
		s.recoversOrFails(between)
	})
}
