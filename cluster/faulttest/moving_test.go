package faulttest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
)

// In TestClientMovesWhileDialled replicas, and a service that waits for clients, dial a client
// that hops from one replica to the next.
func TestClientMovesWhileDialled(t *testing.T) {
	s, a, b, c := three(t)
	d := s.device("1", "one", a)
	s.allFind(map[*device]*replica{d: a})
	const hops, calls = 30, 5 // for each hop
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o := outcomes{kinds: make(map[string]int)}
	var dialling sync.WaitGroup
	for _, r := range s.replicas {
		dialling.Go(func() {
			for ctx.Err() == nil {
				o.count(s, "", r.dial)
			}
		})
	}
	waiting := a.waiting()
	dialling.Go(func() {
		for ctx.Err() == nil {
			o.count(s, "waiting: ", waiting.Dial)
		}
	})
	at := a
	for i := range hops {
		at = []*replica{b, c, a}[i%3]
		d.moves(at)
		s.await("it has moved", func() bool { return at.has(d) })
		before := o.reached()
		s.await("it is reached", func() bool { return o.reached() >= before+calls })
	}
	stop()
	dialling.Wait()
	t.Logf("%d hops, dials: %v, the slowest took %v", hops, o.kinds, o.slowest)
	for kind, n := range o.kinds {
		switch kind {
		case "reached", "lost", "not connected", "moved", "peer", "waiting: reached", "waiting: lost":
		default:
			t.Errorf("%d dials: %s", n, kind)
		}
	}
	if o.slowest > try+lease {
		t.Errorf("a dial took %v", o.slowest)
	}
	s.allFind(map[*device]*replica{d: at})
}

// Outcomes are what becomes of dials.
type outcomes struct {
	mu      sync.Mutex // guards below
	kinds   map[string]int
	slowest time.Duration
}

func (o *outcomes) reached() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kinds["reached"]
}

// count dials the client, and counts what becomes of that. It leaves the machine to others
// for a moment.
func (o *outcomes) count(s *site, who string, dial func(context.Context, string) (net.Conn, error)) {
	ctx, cancel := s.within(patience)
	defer cancel()
	began := time.Now()
	conn, err := dial(ctx, "1")
	if err == nil {
		var there *call
		if there, err = greet(ctx, conn); err == nil {
			if there.device != "one" {
				s.t.Errorf("reached %s through %s", there.device, there.via)
			}
			there.Close()
		}
	}
	took := time.Since(began)
	<-time.After(time.Millisecond)
	kind := kindOf(err)
	if kind == other {
		kind = err.Error()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kinds[who+kind]++
	o.slowest = max(o.slowest, took)
}

// other is any result that no caller can act upon.
const other = "other"

// kindOf returns a word for the result of a call.
func kindOf(err error) string {
	_, lost := errors.AsType[*lostError](err)
	_, peer := errors.AsType[*cluster.PeerError](err)
	switch {
	case err == nil:
		return "reached"
	case lost:
		return "lost" // after it was dialled: with the session
	case errors.Is(err, cluster.ErrNotConnected):
		return "not connected"
	case errors.Is(err, cluster.ErrMoved):
		return "moved"
	case peer:
		return "peer"
	}
	return other
}

// In TestLocateIsLost a request for a client goes to a replica that no longer hears it,
// because it has just crashed.
func TestLocateIsLost(t *testing.T) {
	s, a, b, c := around(t)
	d := s.device("1", "one", c)
	s.await("it is there", func() bool { return c.has(d) })
	b.finds(d, c)
	for range 5 {
		hold(c.engine)
		service := a.forgetful()
		ctx, cancel := s.within(patience)
		before := s.sent()
		type result struct {
			there *call
			err   error
			at    time.Time
		}
		dialled := make(chan result, 1)
		go func() {
			conn, err := service.Dial(ctx, "1")
			r := result{err: err, at: time.Now()}
			if err == nil {
				r.there, r.err = greet(ctx, conn)
				conn.Close()
			}
			dialled <- r
		}()
		s.await("the engine passes the request on", func() bool { return s.sent() > before })
		d.moves(b)
		s.await("the client is at another replica", func() bool { return b.has(d) })
		moved := time.Now()
		s.ledTo(a, d, b) // otherwise nobody would hold the client now
		known := time.Since(moved)
		c.engine.Cut(backdialtest.Reset)
		r := <-dialled
		if r.err != nil || r.there.via != "b" {
			t.Errorf("reached %+v, %v", r.there, r.err)
		}
		took := r.at.Sub(moved)
		t.Logf("reached %v after it had moved", took)
		if most := 2*known + 250*time.Millisecond; took > most {
			t.Errorf("it took %v from when the client had moved, want %v at most", took, most)
		}
		cancel()
		service.Close()
		heal(c.engine)
		d.moves(c)
		s.await("the other replica no longer has it", func() bool { return !b.has(d) })
		s.ledTo(a, d, c)
	}
}

// ledTo waits until the engine leads to a replica that has a device. Dials from a replica that
// has reached the device there before do not need the engine.
func (s *site) ledTo(from *replica, d *device, at *replica) {
	s.t.Helper()
	s.await("the engine leads to the replica "+at.name, func() bool {
		there, err := from.meets(d.id, patience)
		return err == nil && there.via == at.name
	})
}
