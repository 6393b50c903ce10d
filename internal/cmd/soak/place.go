package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
)

// A place is where some clients of a stack are, behind a network of their own.
type place struct {
	stack   *stack
	network network
	clients []*client
	chance  *rand.Rand // which suffer uses alone
	faults  int        // that it has had; suffer's too
}

// placeSize is how many clients are at a place, at most. They suffer together.
const placeSize = 10

// newPlace returns the place of a number, from which clients reach the server at
// addr.
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

// suffer has the network fail, now and then, until ctx ends. Then it is as if
// nothing was.
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

// forget has the network give up clients from which nothing has come for so long.
func (p *place) forget(silent time.Duration) {
	if udp, ok := p.network.(*faultnet.UDP); ok {
		udp.Forget(silent)
	}
}
