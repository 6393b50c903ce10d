package faulttest

import (
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

// In TestSameIDOnTwoReplicas two clients have one ID, and then one of them is lost.
func TestSameIDOnTwoReplicas(t *testing.T) {
	s, a, b, c := three(t)
	older := s.device("twin", "older", b)
	s.allFind(map[*device]*replica{older: b})
	newer := s.device("twin", "newer", c)
	s.await("both are there", func() bool { return b.has(older) && c.has(newer) })
	c.reaches(newer, c)
	b.reaches(older, b)

	// Either is reached, through the replica that has it.
	reached := make(map[string]int)
	for range 50 {
		there, err := a.meets("twin", patience)
		if err != nil {
			t.Fatal(err)
		}
		reached[there.device+" through "+there.via]++
	}
	t.Logf("reached: %v", reached)
	if n := reached["older through b"] + reached["newer through c"]; n != 50 {
		t.Errorf("reached %v", reached)
	}

	// The connection of one is lost, and nobody is told: the other one is found.
	hold(newer.link(c))
	a.finds(older, b)
	s.await("the replica notices", func() bool { return !c.has(newer) })
	s.allFind(map[*device]*replica{older: b})
	for range 10 {
		a.reaches(older, b)
		c.reaches(older, b)
	}
}

// In TestClientComesBackElsewhere a client's path is dead. Its replica does not know that when
// the client connects to another.
func TestClientComesBackElsewhere(t *testing.T) {
	s, a, b, c := three(t)
	d := s.device("1", "one", b)
	s.allFind(map[*device]*replica{d: b})
	hold(d.link(b))
	again := s.device("1", "one", c)
	s.await("it is back", func() bool { return c.has(again) })
	// The first replica takes a while to notice that its session is dead. But it doubts
	// the session as soon as it hears of the other replica, so that callers ask the
	// other.
	ctx, cancel := s.within(patience)
	defer cancel()
	var there cluster.Claim
	s.await("it is found where it is", func() bool {
		claim, err := a.registry.Locate(ctx, "1")
		there = claim
		return err == nil && claim.Node.Name == "c"
	})
	s.await("its first replica doubts its session", func() bool {
		claim, err := a.registry.Locate(ctx, "1", there.Node.Run)
		if err != nil && !b.has(d) {
			t.Fatalf("its first replica has never doubted its session: %v", err)
		}
		return err == nil && claim.Node.Name == "b" && claim.Doubtful
	})
	a.finds(again, c)
	s.await("its first session is over", func() bool { return !b.has(d) })
	s.allFind(map[*device]*replica{again: c})
}

// meets dials a client by a service that finds it as r does and has never dialled it, and asks it
// who it is.
func (r *replica) meets(id string, within time.Duration) (*call, error) {
	r.site.t.Helper()
	service := r.forgetful()
	defer service.Close()
	ctx, cancel := r.site.within(within)
	defer cancel()
	conn, err := service.Dial(ctx, id)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return greet(ctx, conn)
}
