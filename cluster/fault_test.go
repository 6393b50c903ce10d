package cluster_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/testnet"
)

// behind starts a replica that others reach through a network, which is healed before the
// replica is closed.
func (s *site) behind(t *testing.T, name string, opts ...cluster.Option) (*replica, *faultnet.TCP) {
	t.Helper()
	ln := listen(t)
	network := testnet.TCP(t, ln.Addr().String(), 1)
	r := s.replicaAt(t, name, ln, "https://"+network.Addr(), opts...)
	t.Cleanup(func() { network.Set(faultnet.Conditions{}) })
	return r, network
}

// tryTimeout is for tests that let it pass: long enough for a live replica.
const tryTimeout = time.Second

// In TestFrozenReplica the replica that claims a client hangs, before there is a session with
// it and after that. The error names the replica, and is not ctx's.
func TestFrozenReplica(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{false, true} {
		t.Run(map[bool]string{false: "unknown", true: "known"}[known], func(t *testing.T) {
			s := newSiteBeside(t)
			a, network := s.behind(t, "a")
			a.connect(t, "x", "x")
			s.located(t, "x", "a")
			c := s.service(t, "c", cluster.WithTryTimeout(tryTimeout))
			if known {
				reachesSoon(t, c, "x", "x")
			}
			network.Freeze()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			_, err := c.Dial(ctx, "x")
			failed, ok := errors.AsType[*cluster.PeerError](err)
			if !ok || failed.Node.Name != "a" || errors.Is(err, cluster.ErrNotConnected) {
				t.Errorf("%v, want a PeerError of replica a", err)
			}
			if took := time.Since(began); took < tryTimeout || took > tryTimeout+5*time.Second {
				t.Errorf("it took %v, want %v", took, tryTimeout)
			}
			began = time.Now()
			ctx, cancel = context.WithTimeout(t.Context(), tryTimeout/10)
			defer cancel()
			if _, err := c.Dial(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > tryTimeout {
				t.Errorf("%v after %v, want the error of ctx, in time", err, time.Since(began))
			}
			network.Set(faultnet.Conditions{})
			reachesSoon(t, c, "x", "x")
		})
	}
}

// In TestOtherClaim two replicas claim a client, and the preferred one hangs.
func TestOtherClaim(t *testing.T) {
	long.Only(t)
	s := newSite(t)
	b := s.replica(t, "b")
	b.connect(t, "x", "of-b")
	a, network := s.behind(t, "a")
	a.connect(t, "x", "of-a")
	s.located(t, "x", "a")
	said := s.hearsay()
	c := s.service(t, "c", cluster.WithRegistry(said), cluster.WithTryTimeout(tryTimeout))
	reachesSoon(t, c, "x", "of-a")
	network.Freeze()
	began := time.Now()
	reachesSoon(t, c, "x", "of-b")
	if took := time.Since(began); took < tryTimeout {
		t.Errorf("the other was asked after %v, want %v", took, tryTimeout)
	}
	said.locates.Store(0)
	reachesSoon(t, c, "x", "of-b")
	if got := said.locates.Load(); got != 0 {
		t.Errorf("the registry was asked %d times, although the last one that was asked has the client", got)
	}
}

// In TestFrozenOwnerIsForgotten a client's replica does not answer, and a dial finds the
// client at another. The next dial does not ask the first one first again.
func TestFrozenOwnerIsForgotten(t *testing.T) {
	long.Only(t)
	s := newSite(t)
	b := s.replica(t, "b")
	a, network := s.behind(t, "a")
	a.connect(t, "x", "lost")
	s.located(t, "x", "a")
	said := s.hearsay()
	c := s.service(t, "c", cluster.WithRegistry(said), cluster.WithTryTimeout(tryTimeout))
	reachesSoon(t, c, "x", "lost")
	lost := s.node(t, "x").Run
	network.Freeze()
	checkDial(t, c, "x", `"a"`)
	b.connect(t, "x", "back")
	s.located(t, "x", "b")
	said.say(func(ctx context.Context, id string, except ...string) (cluster.Claim, error) {
		if slices.Contains(except, lost) {
			t.Error("the replica that hangs was asked first again")
		}
		return s.registry.Locate(ctx, id, except...)
	})
	reachesSoon(t, c, "x", "back")
}

// TestLostSession cuts the connection between replicas in all ways. Streams in use fail and do
// not look complete, and the next dial succeeds.
func TestLostSession(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]faultnet.Cut{"reset": faultnet.Reset, "finish": faultnet.Finish, "reset of the asker": faultnet.ResetClient} {
		t.Run(name, func(t *testing.T) {
			s := newSiteBeside(t)
			a, network := s.behind(t, "a")
			a.connect(t, "x", "x")
			said := s.hearsay()
			c := s.service(t, "c", cluster.WithRegistry(said))
			conn := dial(t, c, "x")
			said.away.Store(true) // the registry need not be asked again
			network.Cut(how)
			isCut(t, conn)
			reachesNow(t, c, "x", "x")
			if got := c.Stats().Failed; got != 0 {
				t.Errorf("%d dials have failed", got)
			}
		})
	}
}

// TestDeadSession cuts a session just before a dial, so often that some dials use a dead one.
func TestDeadSession(t *testing.T) {
	s := newSite(t)
	a, network := s.behind(t, "a")
	a.connect(t, "x", "x")
	s.located(t, "x", "a")
	c := s.service(t, "c")
	for range 100 {
		network.Cut(faultnet.Reset)
		reachesNow(t, c, "x", "x")
	}
}

// In TestRefusingReplica a replica's host refuses connections.
func TestRefusingReplica(t *testing.T) {
	s := newSite(t)
	a, network := s.behind(t, "a")
	a.connect(t, "x", "x")
	s.located(t, "x", "a")
	c := s.service(t, "c")
	network.Set(faultnet.Conditions{Refuse: true})
	checkDial(t, c, "x", `"a"`)
	if got := c.Stats(); got.Peers != 0 || got.Failed != 1 {
		t.Errorf("%+v, want no session", got)
	}
	network.Set(faultnet.Conditions{})
	reachesNow(t, c, "x", "x")
}

// In TestReplicaRestarts a replica comes back at the same URL, with the same client.
func TestReplicaRestarts(t *testing.T) {
	s := newSite(t)
	ln := listen(t)
	url := "https://" + ln.Addr().String()
	said := s.hearsay()
	c := s.replica(t, "c", cluster.WithRegistry(said))
	before := s.replicaAt(t, "a", ln, url)
	before.connect(t, "x", "before")
	reaches(t, c.Cluster, "x", "before")
	before.server.Close()
	before.Cluster.Close()
	after := s.replicaAt(t, "a", listenAt(t, ln.Addr().String()), url)
	after.connect(t, "x", "after")
	s.located(t, "x", "a")
	said.away.Store(true)
	reachesNow(t, c.Cluster, "x", "after") // the answer counts, whichever run it is from
	said.away.Store(false)
	reachesNow(t, c.Cluster, "x", "after")
}
