package cluster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/internal/test/testnet"
)

// away connects a client through a network, which is healed before the client is closed.
func (r *replica) away(t *testing.T, id, name string) *faultnet.TCP {
	t.Helper()
	network := testnet.TCP(t, r.url[len("http://"):], 1)
	through := *r
	through.url = "http://" + network.Addr()
	through.connect(t, id, name)
	t.Cleanup(func() { network.Set(faultnet.Conditions{}) })
	return network
}

// claimOf returns what a replica itself says of a client.
func claimOf(t *testing.T, h cluster.Holder, id string) cluster.Claim {
	t.Helper()
	claim, ok := h.Claim(id)
	if !ok {
		t.Fatalf("the replica does not claim %s", id)
	}
	return claim
}

// In TestNewestIsPreferred a client connects to two replicas at once, and stays with both.
func TestNewestIsPreferred(t *testing.T) {
	s := newSite(t)
	heard := s.hearsay()
	var logged testlog.Log
	a, b := s.replica(t, "a", cluster.WithRegistry(heard), cluster.WithLogger(logged.Logger())), s.replica(t, "b")
	a.connect(t, "x", "of-a")
	s.located(t, "x", "a")
	ofB := b.connect(t, "x", "of-b")
	await.Until(t, "both are sure", func() bool {
		return logged.Count("another replica") == 1 && !claimOf(t, heard.holder, "x").Doubtful
	})
	c := s.service(t, "c")
	reachesNow(t, c, "x", "of-b")
	reachesNow(t, a.Cluster, "x", "of-a") // which is nearer
	b.disconnect(t, "x", ofB)
	reaches(t, c, "x", "of-a")
}

// In TestDeadRival a client loses its path, and comes back at another replica. The first
// replica finds out that its session is dead, and accepts no dial before that.
func TestDeadRival(t *testing.T) {
	long.Only(t)
	s := newSite(t)
	heard, said := s.hearsay(), s.hearsay()
	a, b := s.replica(t, "a", cluster.WithRegistry(heard)), s.replica(t, "b")
	network := a.away(t, "x", "lost")
	s.located(t, "x", "a")
	said.claims(s.node(t, "x"))
	network.Freeze()
	b.connect(t, "x", "back")
	await.Until(t, "a doubts", func() bool { claim, ok := heard.holder.Claim("x"); return ok && claim.Doubtful })
	s.located(t, "x", "b")
	reachesNow(t, s.service(t, "c"), "x", "back")

	began := time.Now()
	misled := s.service(t, "misled", cluster.WithRegistry(said))
	if conn, err := misled.Dial(t.Context(), "x"); !errors.Is(err, cluster.ErrMoved) {
		t.Errorf("%v, %v, want ErrMoved", conn, err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("the replica answered after %v, before it could know", took)
	}
	if _, ok := a.clients.Lookup("x"); ok {
		t.Error("the replica keeps the dead session")
	}
	if _, ok := heard.holder.Claim("x"); ok {
		t.Error("the replica claims the client of a dead session")
	}
	reachesNow(t, a.Cluster, "x", "back")
}

// In TestLiveRival a client gives its sign of life slowly. A dial waits for that, and reaches
// the client.
func TestLiveRival(t *testing.T) {
	s := newSite(t)
	heard, said := s.hearsay(), s.hearsay()
	a := s.replica(t, "a", cluster.WithRegistry(heard))
	network := a.away(t, "x", "x")
	s.located(t, "x", "a")
	said.claims(s.node(t, "x"))
	misled := s.service(t, "misled", cluster.WithRegistry(said))
	network.Freeze()
	heard.holder.Rival(cluster.Claim{ID: "x", Node: cluster.Node{Name: "b", Run: "another"}})
	if !claimOf(t, heard.holder, "x").Doubtful {
		t.Error("the replica has no doubts")
	}
	done := make(chan error, 1)
	go func() {
		conn, err := misled.Dial(t.Context(), "x")
		if err == nil {
			defer conn.Close()
		}
		done <- err
	}()
	await.Until(t, "the question is asked", func() bool { return misled.Stats().Peers == 1 })
	select {
	case err := <-done:
		t.Fatalf("%v, before the client has given a sign of life", err)
	case <-time.After(100 * time.Millisecond):
	}
	network.Set(faultnet.Conditions{})
	if err := await.From(t, "the dial", done); err != nil {
		t.Error(err)
	}
	if claimOf(t, heard.holder, "x").Doubtful {
		t.Error("the replica still has doubts")
	}
}

// In TestForgedRival a registry makes up rivals. That costs the client a ping a second at
// most.
func TestForgedRival(t *testing.T) {
	s := newSiteBeside(t)
	heard := s.hearsay()
	var logged testlog.Log
	a := s.replica(t, "a", cluster.WithRegistry(heard), cluster.WithLogger(logged.Logger()))
	a.connect(t, "x", "x")
	s.located(t, "x", "a")
	c := s.service(t, "c")
	conn := dial(t, c, "x")
	forged := cluster.Claim{ID: "x", Node: cluster.Node{Name: "b", Run: "another"}, Since: time.Now().Add(time.Hour)}
	probes := func() int { return logged.Count("connected to another replica too") }
	for _, harmless := range []cluster.Claim{{ID: "nobody", Node: forged.Node}, {ID: "x", Node: s.node(t, "x")}, {}} {
		heard.holder.Rival(harmless)
		if probes() > 0 || claimOf(t, heard.holder, "x").Doubtful {
			t.Errorf("%+v is taken for a rival", harmless)
		}
	}
	began := time.Now()
	for probes() < 3 {
		heard.holder.Rival(forged)
		if time.Since(began) > 30*time.Second {
			t.Fatal("the client is not asked again")
		}
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("3 pings in %v", took)
	}
	await.Until(t, "no doubt", func() bool { return !claimOf(t, heard.holder, "x").Doubtful })
	echoes(t, conn, "kept")
	reachesNow(t, c, "x", "x")
	if got := a.clients.Stats(); got.Replaced != 0 || got.Sessions != 1 {
		t.Errorf("%+v, want the session kept", got)
	}
}

// In TestRivalsEnd rivals are reported while a cluster closes.
func TestRivalsEnd(t *testing.T) {
	s := newSite(t)
	for range 20 {
		heard := s.hearsay()
		a := s.replica(t, "a", cluster.WithRegistry(heard))
		const clients = 4
		for i := range clients {
			a.connect(t, string(rune('a'+i)), "x")
		}
		ctx, stop := context.WithCancel(t.Context())
		var telling sync.WaitGroup
		for i := range clients {
			telling.Go(func() {
				for ctx.Err() == nil {
					heard.holder.Rival(cluster.Claim{ID: string(rune('a' + i)), Node: cluster.Node{Run: "another"}})
				}
			})
		}
		a.Cluster.Close()
		stop()
		telling.Wait()
	}
}

// In TestRivalOfOneFleet a client has two sessions with the same replica, whose fleet decides
// between them.
func TestRivalOfOneFleet(t *testing.T) {
	s := newSite(t)
	heard := s.hearsay()
	var logged testlog.Log
	a := s.replica(t, "a", cluster.WithRegistry(heard), cluster.WithLogger(logged.Logger()))
	a.connect(t, "x", "first")
	a.connect(t, "x", "second")
	await.Until(t, "the first is replaced", func() bool { return a.clients.Stats() == (fleet.Stats{Clients: 1, Sessions: 1, Replaced: 1}) })
	reachesNow(t, s.service(t, "c"), "x", "second")
	if claimOf(t, heard.holder, "x").Doubtful || logged.Count("another replica") != 0 {
		t.Error("the replica takes itself for a rival")
	}
}
