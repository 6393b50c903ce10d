package harness

import "testing"

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
