package bench

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// BenchmarkSessionSetup connects clients, one after the other.
func BenchmarkSessionSetup(b *testing.B) {
	each(b, func(b *testing.B, s subject) {
		if strings.HasSuffix(s.name, "mux=none") {
			b.Skip("has no sessions")
		}
		connect := s.serve(b)
		b.ReportAllocs()
		var l latency
		for b.Loop() {
			var made *session
			l.time(func() {
				var err error
				if made, err = connect(); err != nil {
					b.Fatal(err)
				}
			})
			b.StopTimer()
			made.close()
			b.StartTimer()
		}
		l.report(b)
		b.ReportMetric(1e9/float64(b.Elapsed().Nanoseconds())*float64(b.N), "sessions/s")
	})
}

// footprint is what a process holds.
type footprint struct{ memory, goroutines float64 }

func measureFootprint() footprint {
	runtime.GC()
	runtime.GC() // what pools held is gone now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{float64(m.HeapAlloc + m.StackInuse), float64(runtime.NumGoroutine())}
}

// idle reports what n of something cost, both ends together.
func idle(b *testing.B, n int, make func() (release func(), err error)) {
	b.Helper()
	for b.Loop() {
		before := measureFootprint()
		var releases []func()
		for range n {
			release, err := make()
			if err != nil {
				b.Fatal(err)
			}
			releases = append(releases, release)
		}
		after := measureFootprint()
		b.StopTimer()
		for _, release := range releases {
			release()
		}
		b.StartTimer()
		b.ReportMetric((after.memory-before.memory)/float64(n)/1024, "KiB/each")
		b.ReportMetric((after.goroutines-before.goroutines)/float64(n), "goroutines/each")
	}
}

// BenchmarkIdleSessions holds 1,000 sessions on which nothing happens.
func BenchmarkIdleSessions(b *testing.B) {
	const n = 1000
	each(b, func(b *testing.B, s subject) {
		if strings.HasSuffix(s.name, "mux=none") {
			b.Skip("has no sessions")
		}
		connect := s.serve(b)
		idle(b, n, func() (func(), error) {
			made, err := connect()
			if err != nil {
				return nil, err
			}
			return made.close, nil
		})
	})
}

// BenchmarkIdleStreams holds 10,000 streams of one session, each of which has
// carried a byte. Nobody waits to read them.
func BenchmarkIdleStreams(b *testing.B) {
	const n = 10_000
	each(b, func(b *testing.B, s subject) {
		if strings.HasSuffix(s.name, "mux=none") {
			b.Skip("takes more sockets than there may be")
		}
		made := s.start(b)
		idle(b, n, func() (func(), error) {
			dialled, err := made.dial()
			if err != nil {
				return nil, fmt.Errorf("dial: %w", err)
			}
			var one [1]byte
			if _, err := dialled.Write(one[:]); err != nil {
				return nil, err
			}
			accepted, err := made.accept()
			if err != nil {
				return nil, fmt.Errorf("accept: %w", err)
			}
			_, err = io.ReadFull(accepted, one[:])
			return func() { dialled.Close(); accepted.Close() }, err
		})
	})
}
