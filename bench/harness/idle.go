package harness

import (
	"runtime"
	"testing"
	"time"
)

// IdleSessions holds 1,000 sessions on which nothing happens.
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

// IdleStreams holds 10,000 streams of one session, each of which has carried a
// byte. Nobody waits to read them.
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

// UnlessShort is n, or few if it has to be quick: as many as still tell what one
// costs from what comes and goes.
func UnlessShort(n, few int) int {
	if testing.Short() {
		return few
	}
	return n
}

// idle reports what n of something cost, both ends together.
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
	b.ReportMetric(0, "ns/op") // of which there is nothing to say
}

// awaitGoroutines waits until no more than n goroutines run.
func awaitGoroutines(b *testing.B, n int) {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d goroutines run of which there were %d before: is everything closed?", runtime.NumGoroutine(), n)
		}
	}
}
