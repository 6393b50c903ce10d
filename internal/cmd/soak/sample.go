package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// A sample is the size of the process at one moment: clients, networks and server.
type sample struct {
	sessions   int64 // of servers
	goroutines int
	heap       uint64 // bytes in use after a garbage collection
}

func take(sessions int64) sample {
	runtime.GC()
	runtime.GC() // the second one also frees what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{sessions, runtime.NumGoroutine(), m.HeapAlloc}
}

// most returns the maximum of each field.
func (s sample) most(other sample) sample {
	return sample{max(s.sessions, other.sessions), max(s.goroutines, other.goroutines), max(s.heap, other.heap)}
}

// How much a sample may exceed an earlier one, when nothing happens in either. A new
// session costs as much as the old one, but the runtime keeps different stacks and pools,
// and records grow.
const (
	goroutineShare, goroutineSlack = 0.01, 10
	heapShare, heapSlack           = 0.15, 8 << 20
)

// growth returns an error if s exceeds before by too much.
func (s sample) growth(before sample) error {
	if most := before.goroutines + int(goroutineShare*float64(before.goroutines)) + goroutineSlack; s.goroutines > most {
		return fmt.Errorf("%d goroutines, after %d: more than %d", s.goroutines, before.goroutines, most)
	}
	if most := before.heap + uint64(heapShare*float64(before.heap)) + heapSlack; s.heap > most {
		return fmt.Errorf("a heap of %s, after %s: more than %s", mebibytes(s.heap), mebibytes(before.heap), mebibytes(most))
	}
	return nil
}

// samplePause is long enough that samples cost little.
const samplePause = 500 * time.Millisecond

// settled takes samples until enough returns true, but at most for patience.
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
