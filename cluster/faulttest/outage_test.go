package faulttest

import (
	"errors"
	"net"
	"testing"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
)

// In TestEngineSplit one of three engines is cut off from the other two.
func TestEngineSplit(t *testing.T) {
	eachWay(t, func(t *testing.T, fail func(...*backdialtest.TCP)) {
		s, a, b, c := three(t)
		near, far := s.device("near", "near-1", a), s.device("far", "far-1", c)
		coldNear, coldFar := s.device("coldnear", "coldnear-1", b), s.device("coldfar", "coldfar-1", c)
		moves := s.device("moves", "moves-1", c)
		s.allFind(map[*device]*replica{near: a, far: c, moves: c})
		b.finds(coldFar, c)
		b.finds(coldNear, b)
		calls := []*call{a.connects(near, a), a.connects(far, c), c.connects(near, a)}
		routes := []*backdialtest.TCP{c.routes["a"], c.routes["b"]}

		fail(routes...)
		s.await("the engines notice", func() bool {
			return c.engines() == 0 && a.engines() == 1 && b.engines() == 1
		})
		comes := s.device("comes", "comes-1", c)
		for range 2 {
			a.reaches(near, a)
			b.reaches(near, a)
			a.reaches(far, c) // it knows where it was
			c.reaches(far, c)
			c.reaches(near, a)
			a.finds(coldNear, b)
			c.finds(comes, c)
			a.wants("coldfar", cluster.ErrNotConnected, atOnce)
			a.wants("comes", cluster.ErrNotConnected, atOnce)
			c.wants("coldnear", cluster.ErrNotConnected, atOnce)
			s.still(calls...)
		}
		moves.moves(b)
		a.finds(moves, b)

		heal(routes...)
		s.allFind(map[*device]*replica{near: a, far: c, coldNear: b, coldFar: c, comes: c, moves: b})
		s.still(calls...)
	})
}

// In TestEngineDown the only engine goes away, and comes back empty.
func TestEngineDown(t *testing.T) {
	s, a, b, c := around(t)
	mine, known, cold := s.device("mine", "mine-1", a), s.device("known", "known-1", b), s.device("cold", "cold-1", c)
	leaves, moves := s.device("leaves", "leaves-1", c), s.device("moves", "moves-1", c)
	s.allFind(map[*device]*replica{mine: a, known: b, moves: c})
	b.finds(cold, c)
	b.finds(leaves, c)
	calls := []*call{a.connects(mine, a), a.connects(known, b)}
	waiting := a.waiting()

	port := s.engine.Addr().(*net.TCPAddr).Port
	stopEngine(s.engine)
	s.await("all notice", func() bool {
		return !a.registry.Connected() && !b.registry.Connected() && !c.registry.Connected()
	})
	comes := s.device("comes", "comes-1", b)
	leaves.close()
	moves.moves(b)
	s.await("the replicas know their clients", func() bool { return b.has(comes) && b.has(moves) && !c.has(leaves) })
	for range 2 {
		a.reaches(mine, a)
		a.reaches(known, b)
		b.reaches(comes, b)
		a.wants("cold", cluster.ErrUnavailable, atOnce)
		a.wants("comes", cluster.ErrUnavailable, atOnce)
		a.wants("nobody", cluster.ErrUnavailable, atOnce)
		a.wants("moves", cluster.ErrUnavailable, atOnce) // c no longer has it
		s.still(calls...)
	}
	ctx, cancel := s.within(patience)
	defer cancel()
	found := make(chan error, 1)
	go func() { found <- waiting.Wait(ctx, "cold") }()

	s.startEngine(port)
	s.allFind(map[*device]*replica{mine: a, known: b, cold: c, comes: b, moves: b})
	for _, r := range s.replicas {
		r.loses("leaves")
		_, err := r.fails("nobody")
		if !errors.Is(err, cluster.ErrNotConnected) {
			t.Errorf("%s dials a client that was never there: %v", r.name, err)
		}
	}
	s.still(calls...)
	if err := <-found; err != nil {
		t.Errorf("a caller that has waited for a client: %v", err)
	}
}
