//go:build unix

package faulttest

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

// TestReplicaHangs freezes a replica that has a client, until another replica has the client.
func TestReplicaHangs(t *testing.T) {
	s := newSite(t)
	a, b := s.replica("a"), s.replica("b")
	c := s.child("c")
	mine := s.device("mine", "mine-1", a)
	moves, stays := s.device("moves", "moves-1", c.replica), s.device("stays", "stays-1", c.replica)
	s.allFind(map[*device]*replica{mine: a, moves: c.replica, stays: c.replica})
	local, held := a.connects(mine, a), a.connects(moves, c.replica)
	moves.then(b)
	began := time.Now()
	c.stop()

	// A caller waits for it for a second at most, and then for others until the engine
	// has noticed.
	if took, err := a.fails("stays"); took > try+lease || !errors.Is(err, cluster.ErrNotConnected) && !names(err, c.replica) {
		t.Errorf("a dials a client of the replica that hangs: %v after %v", err, took)
	}
	a.reaches(mine, a)
	a.finds(moves, b)
	t.Logf("the client was reached elsewhere %v after its replica had stopped", time.Since(began))
	b.reaches(moves, b)
	b.reaches(mine, a)
	s.still(local)
	s.await("the client that is gone is not connected", func() bool {
		took, err := a.fails("stays")
		if took > try+lease || !errors.Is(err, cluster.ErrNotConnected) && !names(err, c.replica) {
			t.Errorf("a dials a client of the replica that hangs: %v after %v", err, took)
		}
		return errors.Is(err, cluster.ErrNotConnected)
	})

	c.signal(syscall.SIGCONT)
	resumed := time.Now()
	for _, r := range s.replicas {
		r.finds(moves, b)
		r.finds(stays, c.replica)
		r.finds(mine, a)
	}
	t.Logf("all was in order %v after the replica had continued", time.Since(resumed))
	s.still(local)
	s.lost(held)
	// It has lost its former claims, so no dial loses time there.
	for range 20 {
		a.reaches(moves, b)
		b.reaches(moves, b)
	}
	if got := a.Stats().Moved + b.Stats().Moved; got > 2 {
		t.Errorf("a replica that no longer has the client was asked %d times", got)
	}
}
