package harness

import (
	"runtime"
	"testing"
	"time"
)

// IdleSessions holds 1,000 idle sessions.
func IdleSessions(b *testing.B, subjects []Subject) {
	each(b, subjects, func(b *testing.B, s Subject) {
		connect := s.Serve(near{b})
		idle(b, UnlessShort(1000, 100), func() (func(), error) {
			made, err := connect()
			if err != nil {
				return nil, err
			}
			return made.Close, nil
		})
	})
}

// IdleStreams holds 10,000 idle streams of one session, each of which has carried a byte.
// No goroutine waits to read them.
func IdleStreams(b *testing.B, subjects []Subject) {
	each(b, subjects, func(b *testing.B, s Subject) {
		made := s.start(b)
		idle(b, UnlessShort(10_000, 1000), func() (func(), error) {
			server, client, err := open(made)
			if err != nil {
				return nil, err
			}
			return func() {
				server.Close()
				client.Close()
			}, nil
		})
	})
}

// UnlessShort returns n, or few with -short: the fewest that still tell the cost of one
// from noise.
func UnlessShort(n, few int) int {
	if testing.Short() {
		return few
	}
	return n
}

// idle reports the cost of each of n things, both ends together.
func idle(b *testing.B, n int, hold func() (release func(), err error)) {
	b.Helper()
	var cost Footprint
	for b.Loop() {
		releases := make([]func(), 0, n)
		before := MeasureFootprint()
		for range n {
			release, err := hold()
			if err != nil {
				b.Fatalf("hold %d of %d: %v", len(releases)+1, n, err)
			}
			releases = append(releases, release)
		}
		after := MeasureFootprint()
		cost.Memory += after.Memory - before.Memory
		cost.Goroutines += after.Goroutines - before.Goroutines

		for _, release := range releases {
			release()
		}
		awaitGoroutines(b, before.Goroutines)
	}
	held := float64(b.N) * float64(n)
	b.ReportMetric(float64(cost.Memory)/held/1024, "KiB/each")
	b.ReportMetric(float64(cost.Goroutines)/held, "goroutines/each")
	b.ReportMetric(0, "ns/op") // ns/op means nothing here
}

// awaitGoroutines waits until no more than n goroutines run.
func awaitGoroutines(b *testing.B, n int) {
	b.Helper()
	if !settle(n) {
		b.Fatalf("%d goroutines run, after %d before: is everything closed?", runtime.NumGoroutine(), n)
	}
}

// settle waits until no more than n goroutines run, and returns false if that does not
// happen.
func settle(n int) bool {
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
