package harness

import (
	"slices"
	"testing"
	"time"
)

// A Latency collects durations.
type Latency struct{ took []time.Duration }

// Time adds how long f takes.
func (l *Latency) Time(f func()) {
	began := time.Now()
	f()
	l.Add(time.Since(began))
}

// Add adds a duration.
func (l *Latency) Add(took time.Duration) { l.took = append(l.took, took) }

// Report reports the median and the 99th percentile, in nanoseconds.
func (l *Latency) Report(b *testing.B) {
	b.ReportMetric(float64(l.Percentile(50)), "p50-ns")
	b.ReportMetric(float64(l.Percentile(99)), "p99-ns")
}

// Percentile returns the least duration that p percent did not exceed. Of few, the 99th
// percentile is the longest.
func (l *Latency) Percentile(p int) time.Duration {
	slices.Sort(l.took)
	return l.took[(len(l.took)*p+99)/100-1]
}
