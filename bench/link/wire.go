package link

import (
	"math/rand/v2"
	"sync"
	"time"
)

// A wire is one direction of a path. It says when something arrives: after what
// was sent before it has left, and it has left itself, and the delay has passed.
type wire struct {
	conditions Conditions

	mu   sync.Mutex // guards below
	free time.Time  // when all that was sent has left
	lost *rand.Rand
}

// newWire returns a wire that loses the same datagrams each time.
func newWire(c Conditions, seed uint64) *wire {
	return &wire{conditions: c, lost: rand.New(rand.NewPCG(seed, seed))}
}

// send returns when n bytes arrive that are sent now.
func (w *wire) send(n int) (arrival time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sendLocked(time.Now(), n)
}

// offer is send for what may get lost, by chance or because too much waits.
func (w *wire) offer(n int) (arrival time.Time, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.lost.Float64() < w.conditions.Loss || w.free.Sub(now) > w.conditions.Queue {
		return time.Time{}, true
	}
	return w.sendLocked(now, n), false
}

func (w *wire) sendLocked(now time.Time, n int) (arrival time.Time) {
	if w.free.Before(now) {
		w.free = now
	}
	w.free = w.free.Add(time.Duration(float64(n) / w.conditions.Rate * float64(time.Second)))
	return w.free.Add(w.conditions.delay())
}
