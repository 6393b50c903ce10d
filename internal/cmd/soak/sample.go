package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// A sample is what the process consists of at a time: clients, networks and server.
type sample struct {
	sessions   int64 // that servers have
	goroutines int
	heap       uint64 // bytes in use after a collection
}

func take(sessions int64) sample {
	runtime.GC()
	runtime.GC() // what pools keep is given up by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{sessions, runtime.NumGoroutine(), m.HeapAlloc}
}

// most has the larger of each.
func (s sample) most(other sample) sample {
	return sample{max(s.sessions, other.sessions), max(s.goroutines, other.goroutines), max(s.heap, other.heap)}
}

// What a sample may have more than an earlier one, when nobody is at work in either.
// A session that was made anew costs what the first did, but what the runtime
// keeps for later differs, such as stacks and pools, and records grow.
const (
	goroutineShare, goroutineSlack = 0.01, 10
	heapShare, heapSlack           = 0.15, 8 << 20
)

// growth tells what s has too much of, if before is what it may have.
func (s sample) growth(before sample) error {
	if most := before.goroutines + int(goroutineShare*float64(before.goroutines)) + goroutineSlack; s.goroutines > most {
		return fmt.Errorf("%d goroutines, which were %d: more than %d", s.goroutines, before.goroutines, most)
	}
	if most := before.heap + uint64(heapShare*float64(before.heap)) + heapSlack; s.heap > most {
		return fmt.Errorf("a heap of %s, which was %s: more than %s", mebibytes(s.heap), mebibytes(before.heap), mebibytes(most))
	}
	return nil
}

// samplePause is so long that a sample does not cost much.
const samplePause = 500 * time.Millisecond

// settled samples until enough is true, for as long as patience at most.
func settled(ctx context.Context, patience time.Duration, next func() sample, enough func(sample) bool) sample {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if s := next(); enough(s) || !wait(ctx, samplePause) {
			return s
		}
	}
}

func mebibytes(n uint64) string {
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
