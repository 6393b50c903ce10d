// Package faultnet is a network that fails on demand. It lies between clients and a
// server that do not know of it.
//
// A [TCP] or a [UDP] forwards to a server; clients dial its Addr. It has [Conditions] for
// each direction, which Set changes while connections live:
//
//	network, err := faultnet.ListenTCP(server, seed)
//	…
//	network.Set(faultnet.Both(faultnet.Way{Swallow: true})) // a black hole
//	network.Set(faultnet.Conditions{})                      // as if nothing was
//	network.Cut(faultnet.Reset)
//
// The seed fixes the sequence of random decisions. The scheduler decides when there is
// something to decide, so a seed repeats a kind of misfortune, not every byte of it.
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

// Conditions describe a network. The zero value is the loopback interface.
type Conditions struct {
	Up   Way // from clients to the server
	Down Way // from the server to clients

	// Refuse resets new TCP connections, like a host on which nothing listens.
	Refuse bool
}

// Both returns conditions that are the same in both directions.
func Both(w Way) Conditions { return Conditions{Up: w, Down: w} }

// A Way describes one direction of a network. A piece is a datagram, or what arrived at
// once from a TCP connection.
type Way struct {
	Delay time.Duration // from one end to the other
	Rate  int           // bytes per second, for each client; 0 means no limit

	// Frozen lets nothing through. TCP data waits, as far as there is room, and goes on
	// afterwards, as if the kernel had sent it again. Datagrams are lost.
	Frozen bool

	// Swallow takes everything and delivers nothing. That is final: a TCP connection from
	// which anything was swallowed, even its end, delivers nothing in that direction any
	// more. The server does not see new ones.
	Swallow bool

	// Corrupt is the share of pieces in which one bit is flipped.
	Corrupt float64

	// Chunk cuts TCP data at random into chunks of at most so many bytes. 0 means no cuts.
	Chunk int

	// MTU is the length of the longest datagram that gets through. 0 means no limit.
	MTU int

	// Loss, Duplicate and Reorder are the shares of datagrams that are lost, arrive twice,
	// and arrive after the datagram sent next.
	Loss, Duplicate, Reorder float64
}

// A direction is a direction of a network.
type direction int

const (
	up   direction = iota // from clients to the server
	down                  // from the server to clients
)

// A path is the common part of [TCP] and [UDP].
type path struct {
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // for all goroutines

	delivered atomic.Int64 // pieces
	harmed    atomic.Int64 // pieces harmed by chance

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

// Set changes the conditions, also for what is under way.
func (p *path) Set(c Conditions) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conditions = c
	close(p.changed)
	p.changed = make(chan struct{})
}

// Freeze lets nothing through, in either direction. Set undoes it.
func (p *path) Freeze() { p.Set(Both(Way{Frozen: true})) }

// Delivered is how many pieces have been delivered.
func (p *path) Delivered() int64 { return p.delivered.Load() }

// Harmed is how often chance has lost, delayed, duplicated or changed a piece.
func (p *path) Harmed() int64 { return p.harmed.Load() }

// way returns the Way of a direction, and a channel that is closed when it may have
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

// chance returns true with the given probability, and then counts a harm.
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

// corrupt flips a bit of data, if chance decides so.
func (p *path) corrupt(d direction, w Way, data []byte) {
	if len(data) > 0 && p.chance(d, w.Corrupt) {
		bit := p.below(d, 8*len(data))
		data[bit/8] ^= 1 << (bit % 8)
	}
}

// A lane is one direction of the traffic between a client and the server. One goroutine
// delivers it.
type lane struct {
	path  *path
	dir   direction
	holds bool      // what arrives while the way is frozen waits
	free  time.Time // when everything delivered so far has left, at the given rate
}

// arrive waits until n bytes that were sent at a given time arrive. It returns the Way at
// that moment, or false if ctx ends first.
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

// wait is how long something stays where it is, if nothing changes.
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
