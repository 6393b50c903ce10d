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
	moves, stays := s.device("moves", "moves-1", c.replica), s.device("stays", "stays-1", c.replica)
	s.allFind(map[*device]*replica{mine: a, other: b, moves: c.replica, stays: c.replica})

	local, remote := a.connects(mine, a), a.connects(other, b)
	lost := a.connects(moves, c.replica)
	waiting := a.waiting()
	moves.then(b)
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
// its client, which has connected to a third. Besides the client's own time, and what a dial
// takes on this machine, that is next to nothing.
func TestFailover(t *testing.T) {
	var client, reached, added, dial []time.Duration
	for _, f := range failovers(t, failoverTrials) {
		client, reached = append(client, f.client), append(reached, f.reached)
		added, dial = append(added, f.reached-f.client), append(dial, f.dial)
	}
	t.Logf("from kill -9 until the client is elsewhere: median %v; until it is reached: median %v, most %v; a dial: median %v",
		median(client), median(reached), slices.Max(reached), median(dial))
	if most := 100*time.Millisecond + median(dial); median(added) > most {
		t.Errorf("a client that is elsewhere is reached after %v in the median of %d trials, want %v at most", median(added), len(added), most)
	}
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// A failover is how long it took from the end of a replica until its client was at another,
// and until it was reached there. dial is how long it took then to reach it for the first time.
type failover struct{ client, reached, dial time.Duration }

// failovers kills replicas, one after the other.
func failovers(t *testing.T, trials int) (all []failover) {
	s := newSite(t)
	a, b := s.replica("a"), s.replica("b")
	waiting := a.waiting()
	for range trials {
		c := s.child("c")
		d := s.device("moves", "moves-1", c.replica)
		a.finds(d, c.replica)
		d.then(b)
		ctx, cancel := s.within(patience)
		killed := time.Now()
		c.kill()
		comes := make(chan time.Duration, 1)
		go func() {
			b.clients.Wait(ctx, "moves")
			comes <- time.Since(killed)
		}()
		conn, err := waiting.Dial(ctx, "moves")
		if err != nil {
			t.Fatal(err)
		}
		there, err := greet(ctx, conn)
		if err != nil || there.device != d.name || there.via != b.name {
			t.Fatalf("reached %+v, %v", there, err)
		}
		f := failover{reached: time.Since(killed), client: <-comes}
		conn.Close()
		began := time.Now()
		s.ledTo(a, d, b)
		f.dial = time.Since(began)
		all = append(all, f)
		cancel()
		d.close()
	}
	return all
}
