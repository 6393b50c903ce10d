package harness

import (
	"runtime"
	"testing"
)

// A Footprint is what a process holds.
type Footprint struct {
	Memory     int64 // of the heap and of stacks, in bytes
	Goroutines int
}

// MeasureFootprint collects garbage first.
func MeasureFootprint() Footprint {
	runtime.GC()
	runtime.GC() // empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Footprint{int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()}
}

// Report reports what each of n additions has added since before. For a small n the noise
// is larger than that.
func (f Footprint) Report(b *testing.B, before Footprint, n int, what string) {
	if n < 100 {
		return
	}
	b.ReportMetric(float64(f.Memory-before.Memory)/float64(n)/1024, "KiB/"+what)
	b.ReportMetric(float64(f.Goroutines-before.Goroutines)/float64(n), "goroutines/"+what)
}
