package harness

import (
	"slices"
	"testing"
	"time"
)

// A latency collects how long something took each time.
type latency struct{ took []time.Duration }

func (l *latency) time(f func()) {
	began := time.Now()
	f()
	l.took = append(l.took, time.Since(began))
}

// report reports the median and the 99th percentile, in nanoseconds.
func (l *latency) report(b *testing.B) {
	slices.Sort(l.took)
	b.ReportMetric(float64(l.percentile(50)), "p50-ns")
	b.ReportMetric(float64(l.percentile(99)), "p99-ns")
}

// median is where half took longer.
func (l *latency) median() time.Duration {
	slices.Sort(l.took)
	return l.percentile(50)
}

// percentile returns the least that p percent did not exceed. Of few, the 99th is
// the longest.
func (l *latency) percentile(p int) time.Duration {
	return l.took[(len(l.took)*p+99)/100-1]
}
