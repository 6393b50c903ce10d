package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
)

// A place is a network of its own, and the clients behind it, all of one stack.
type place struct {
	stack   *stack
	network network
	clients []*client
	chance  *rand.Rand // used by suffer only
	faults  int        // faults so far; used by suffer only
}

// placeSize is how many clients a place has, at most. They suffer together.
const placeSize = 10

// newPlace returns the place with a number, from which clients reach the server at addr.
func newPlace(number int, s *stack, addr string, seed uint64) (*place, error) {
	p := &place{stack: s, chance: rand.New(rand.NewPCG(seed, uint64(number)))}
	var err error
	if seed := p.chance.Uint64(); s.overUDP() {
		p.network, err = faultnet.ListenUDP(addr, seed)
	} else {
		p.network, err = faultnet.ListenTCP(addr, seed)
	}
	return p, err
}

// suffer makes the network fail at random times, until ctx ends. Then the network works
// again.
func (p *place) suffer(ctx context.Context, o options) {
	faults := p.stack.faultsOf(o.faults)
	if len(faults) == 0 {
		return
	}
	for wait(ctx, between(p.chance, 0, 2*o.every)) {
		f := faults[p.chance.IntN(len(faults))]
		f.begin(p.network, p.chance)
		p.faults++
		wait(ctx, between(p.chance, 0, 2*o.fault))
		p.network.Set(faultnet.Conditions{})
		for _, c := range p.clients {
			c.disturb(f.name)
		}
		p.forget(2 * o.silence())
	}
}

// forget makes the network forget clients that have sent nothing for so long.
func (p *place) forget(silent time.Duration) {
	if udp, ok := p.network.(*faultnet.UDP); ok {
		udp.Forget(silent)
	}
}
