// Package faultnet is a network that fails on demand, between clients and a
// server that both know nothing of it.
//
// A [TCP] or a [UDP] stands in front of a server; clients dial its Addr. It has
// [Conditions], which Set changes while connections live, in each direction
// apart:
//
//	network, err := faultnet.ListenTCP(server, seed)
//	…
//	network.Set(faultnet.Both(faultnet.Way{Swallow: true})) // a black hole
//	network.Set(faultnet.Conditions{})                      // as if nothing was
//	network.Cut(faultnet.Reset)
//
// Chance takes its decisions in an order that the seed gives. When there is
// something to decide is for the scheduler to say, so a seed repeats a kind of
// misfortune rather than one to the byte.
//
// Close waits for all goroutines of a network.
package faultnet

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Conditions are what a network is like. The zero value is the loopback
// interface.
type Conditions struct {
	Up   Way // from clients to the server
	Down Way // from the server to clients

	// Refuse has new TCP connections reset, as by a host on which nothing
	// listens.
	Refuse bool
}

// Both are conditions that are the same in both directions.
func Both(w Way) Conditions { return Conditions{Up: w, Down: w} }

// A Way is what a network is like in one direction. A piece is a datagram, or
// what came of a TCP connection at once.
type Way struct {
	Delay time.Duration // how long the way takes
	Rate  int           // bytes per second, of each client; 0 means no bound

	// Frozen lets nothing through. On TCP it waits, as far as there is room for
	// it, and goes on when that is over, as if the kernel had sent it again; a
	// datagram is lost.
	Frozen bool

	// Swallow takes everything and delivers nothing. That cannot be made up
	// for: a TCP connection of which something was swallowed, be it its end,
	// delivers nothing in that direction any more. The server does not hear of
	// new ones.
	Swallow bool

	// Corrupt is the share of pieces in which one bit is turned.
	Corrupt float64

	// Chunk cuts what comes by TCP into chunks of as many bytes at most, at
	// random. 0 means none.
	Chunk int

	// MTU is the length of the longest datagram that is not lost. 0 means any.
	MTU int

	// Loss, Duplicate and Reorder are shares of datagrams: of those that get
	// lost, come twice, and come after the one that was sent next.
	Loss, Duplicate, Reorder float64
}

// A direction is one of a network.
type direction int

const (
	up   direction = iota // from clients to the server
	down                  // from the server to clients
)

// A path is what a [TCP] and a [UDP] have in common.
type path struct {
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // everything that runs

	delivered atomic.Int64 // pieces
	harmed    atomic.Int64 // pieces, by chance

	mu         sync.Mutex // guards below
	conditions Conditions
	changed    chan struct{} // closed when the conditions change
	chances    [2]*rand.Rand // of each direction
}

func (p *path) init(seed uint64) {
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.changed = make(chan struct{})
	for d := range p.chances {
		p.chances[d] = rand.New(rand.NewPCG(seed, uint64(d)))
	}
}

// Set changes the conditions. They hold for what is under way as well.
func (p *path) Set(c Conditions) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conditions = c
	close(p.changed)
	p.changed = make(chan struct{})
}

// Freeze has nothing come through, in either direction. Set undoes it.
func (p *path) Freeze() { p.Set(Both(Way{Frozen: true})) }

// Delivered is how many pieces have come through.
func (p *path) Delivered() int64 { return p.delivered.Load() }

// Harmed is how many times chance has lost, delayed, doubled or changed a piece.
func (p *path) Harmed() int64 { return p.harmed.Load() }

// way returns that of a direction, and a channel that is closed when it may have
// changed.
func (p *path) way(d direction) (Way, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == up {
		return p.conditions.Up, p.changed
	}
	return p.conditions.Down, p.changed
}

func (p *path) refuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conditions.Refuse
}

// chance reports whether harm is done that is done with that probability.
func (p *path) chance(d direction, probability float64) bool {
	if probability == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.chances[d].Float64() >= probability {
		return false
	}
	p.harmed.Add(1)
	return true
}

// below returns a random number from 0 to n-1.
func (p *path) below(d direction, n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chances[d].IntN(n)
}

// corrupt turns a bit of data, if chance says so.
func (p *path) corrupt(d direction, w Way, data []byte) {
	if len(data) > 0 && p.chance(d, w.Corrupt) {
		bit := p.below(d, 8*len(data))
		data[bit/8] ^= 1 << (bit % 8)
	}
}

// A lane is one direction of what a client and the server say to each other. One
// goroutine delivers what is in it.
type lane struct {
	path  *path
	dir   direction
	holds bool      // what comes while the way is frozen waits
	free  time.Time // when all that was delivered has left, at the rate there is
}

// arrive waits until n bytes that were sent at a time arrive. It returns what the
// way is like by then, or false if ctx ends first.
func (l *lane) arrive(ctx context.Context, sent time.Time, n int) (Way, bool) {
	for {
		w, changed := l.path.way(l.dir)
		wait := l.wait(w, sent)
		if wait <= 0 {
			if w.Rate > 0 {
				l.free = time.Now().Add(time.Duration(n) * time.Second / time.Duration(w.Rate))
			}
			return w, ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return w, false
		}
		timer.Stop()
	}
}

// wait is for how long something stays where it is, if nothing changes.
func (l *lane) wait(w Way, sent time.Time) time.Duration {
	if w.Frozen && l.holds {
		return math.MaxInt64
	}
	wait := time.Until(sent.Add(w.Delay))
	if w.Rate > 0 {
		wait = max(wait, time.Until(l.free))
	}
	return wait
}
