package link

import (
	"math/rand/v2"
	"sync"
	"time"
)

// A wire is one direction of a path. It computes arrival times: something leaves after
// everything sent before it, and arrives a delay later.
type wire struct {
	conditions Conditions

	mu      sync.Mutex // guards below
	free    time.Time  // when everything sent so far has left
	lost    *rand.Rand
	bytes   int64 // sent so far
	packets int64 // or what was sent at a time
}

// newWire returns a wire that loses the same datagrams every time it has the same seed.
func newWire(c Conditions, seed uint64) *wire {
	return &wire{conditions: c, lost: rand.New(rand.NewPCG(seed, seed))}
}

// send returns when n bytes arrive that are sent now.
func (w *wire) send(n int) (arrival time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sendLocked(time.Now(), n)
}

// offer is send for datagrams that may be lost, by chance or because too much waits.
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
	if n > 0 {
		w.bytes += int64(n)
		w.packets++
	}
	if w.free.Before(now) {
		w.free = now
	}
	w.free = w.free.Add(time.Duration(float64(n) / w.conditions.Rate * float64(time.Second)))
	return w.free.Add(w.conditions.delay())
}

// heal stops delays and losses.
func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conditions = Conditions{Rate: 1e12, Queue: time.Hour}
	w.free = time.Time{}
}
