package deadline

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// TestClock sets deadlines without a reading of the monotonic clock, like those that were
// parsed or sent. They must be kept by the monotonic clock all the same, as the timer is.
func TestClock(t *testing.T) {
	c := sync.NewCond(new(sync.Mutex))
	c.L.Lock()
	defer c.L.Unlock()
	w := OnCond(c)
	var d Deadline
	defer d.Stop()
	for _, wait := range []time.Duration{time.Hour, -time.Hour, 100 * 365 * 24 * time.Hour} {
		at := time.Now().Add(wait).Round(0)
		d.Set(at, w)
		if !strings.Contains(d.At().String(), " m=") || d.At().Sub(at).Abs() > time.Second {
			t.Errorf("a deadline at %v is kept as %v", at, d.At())
		}
		if d.Passed() != (wait < 0) {
			t.Errorf("a deadline in %v has passed: %t", wait, d.Passed())
		}
	}
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(1, 0).AddDate(-1900, 0, 0)} {
		if d.Set(at, w); !d.Passed() {
			t.Errorf("a deadline at %v has not passed", at)
		}
	}
	if d.Set(time.Unix(1<<40, 0), w); d.Passed() {
		t.Error("a deadline in thousands of years has passed")
	}
	if d.Set(time.Time{}, w); d.Passed() || !d.At().IsZero() {
		t.Error("a deadline that is none has passed")
	}
}
