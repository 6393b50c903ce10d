//go:build unix

package faulttest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

// failoverTrials is how often the time is measured until a client is reached elsewhere.
const failoverTrials = 20

// TestReplicaKilled kills a replica that has a client.
func TestReplicaKilled(t *testing.T) {
	s := newSite(t)
	a, b := s.replica("a"), s.replica("b")
	c := s.child("c")
	mine, other := s.device("mine", "mine-1", a), s.device("other", "other-1", b)
	moves, stays := s.device("moves", "moves-1", c.replica, b), s.device("stays", "stays-1", c.replica)
	s.allFind(map[*device]*replica{mine: a, other: b, moves: c.replica, stays: c.replica})

	local, remote := a.connects(mine, a), a.connects(other, b)
	lost := a.connects(moves, c.replica)
	waiting := a.waiting()
	c.kill()

	// Connections to others are as they were, and so are dials.
	a.reaches(mine, a)
	a.reaches(other, b)
	s.still(local, remote)
	// A connection that led through it does not look complete.
	s.lost(lost)
	// Its clients are found where they connect then.
	ctx, cancel := s.within(patience)
	defer cancel()
	conn, err := waiting.Dial(ctx, "moves")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if there, err := greet(ctx, conn); err != nil || there.device != moves.name || there.via != b.name {
		t.Errorf("waiting for the client led to %+v, %v", there, err)
	}
	a.finds(moves, b)
	b.finds(moves, b)
	// Clients that cannot connect elsewhere are gone. The replica ended without a word, so others
	// may name it until the engine notices, and no longer.
	for _, r := range []*replica{a, b} {
		s.await("the client that is gone is not connected", func() bool {
			took, err := r.fails("stays")
			if took > lease || !names(err, c.replica) && !errors.Is(err, cluster.ErrNotConnected) {
				t.Errorf("%s dials a client that is gone: %v after %v", r.name, err, took)
			}
			return errors.Is(err, cluster.ErrNotConnected)
		})
	}
}

// TestFailover measures how long it takes from the end of a replica until another reaches
// its client, which has connected to a third.
func TestFailover(t *testing.T) {
	took := failover(t, failoverTrials)
	slices.Sort(took)
	median, p90 := took[len(took)/2], took[len(took)*9/10]
	t.Logf("from kill -9 until the client is reached elsewhere: median %v, p90 %v, most %v", median, p90, took[len(took)-1])
	if most := 100*time.Millisecond + backoff; median > most {
		t.Errorf("the median of %d trials is %v, want %v at most", len(took), median, most)
	}
}

// failover kills replicas, and returns how long each time the client was not reached.
func failover(t *testing.T, trials int) (took []time.Duration) {
	s := newSite(t)
	a, b := s.replica("a"), s.replica("b")
	waiting := a.waiting()
	for range trials {
		c := s.child("c")
		d := s.device("moves", "moves-1", c.replica, b)
		a.finds(d, c.replica)
		killed := time.Now()
		c.kill()
		ctx, cancel := s.within(patience)
		conn, err := waiting.Dial(ctx, "moves")
		if err != nil {
			t.Fatal(err)
		}
		there, err := greet(ctx, conn)
		if err != nil || there.device != d.name || there.via != b.name {
			t.Fatalf("reached %+v, %v", there, err)
		}
		took = append(took, time.Since(killed))
		conn.Close()
		cancel()
		d.close()
	}
	return took
}
