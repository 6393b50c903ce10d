package harness

import (
	"runtime"
	"sync"
	"testing"
)

// SessionSetup connects clients, one after the other.
func SessionSetup(b *testing.B, subjects []Subject) {
	each(b, subjects, func(b *testing.B, s Subject) {
		connect := s.Serve(near{b})
		b.ReportAllocs()
		var l Latency
		for b.Loop() {
			var made *Session
			l.Time(func() {
				var err error
				if made, err = connect(); err != nil {
					b.Fatal(err)
				}
			})
			b.StopTimer()
			made.Close()
			b.StartTimer()
		}
		l.Report(b)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
	})
}

// SessionSetupAndClose is SessionSetup with Close of both ends in the time.
func SessionSetupAndClose(b *testing.B, subjects []Subject) {
	each(b, subjects, func(b *testing.B, s Subject) {
		connect := s.Serve(near{b})
		var l Latency
		for b.Loop() {
			l.Time(func() {
				made, err := connect()
				if err != nil {
					b.Fatal(err)
				}
				made.Close()
			})
		}
		l.Report(b)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
	})
}

// SessionSetupAtOnce has 64 goroutines connect clients, none of which leaves before the
// last has come.
func SessionSetupAtOnce(b *testing.B, subjects []Subject) {
	const connecting = 64
	perGoroutine := UnlessShort(8, 1)
	each(b, subjects, func(b *testing.B, s Subject) {
		connect := s.Serve(near{b})
		first, err := connect() // so that the server runs
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(first.Close)
		made := make([]*Session, connecting*perGoroutine)
		const some = 10 // that servers and libraries have for all sessions
		quiet := runtime.NumGoroutine() + some
		for b.Loop() {
			var all sync.WaitGroup
			for i := range connecting {
				all.Go(func() {
					for j := range perGoroutine {
						var err error
						if made[i*perGoroutine+j], err = connect(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			for _, m := range made {
				if m != nil {
					m.Close()
				}
			}
			if b.Failed() {
				return
			}
			awaitGoroutines(b, quiet) // of what is closed: it would compete with the next
			b.StartTimer()
		}
		b.ReportMetric(float64(b.N*len(made))/b.Elapsed().Seconds(), "sessions/s")
		b.ReportMetric(0, "ns/op") // of which there is nothing to say
	})
}
