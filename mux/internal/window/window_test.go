package window

import (
	"testing"
	"time"
)

// TestWorth expects credit the sooner the longer the path is.
func TestWorth(t *testing.T) {
	const size = 256 << 10
	for _, test := range []struct {
		roundTrip time.Duration
		want      uint64
	}{
		{0, size / 2}, // not measured yet
		{near - 1, size / 2},
		{near, size / 4},
		{Worthwhile - 1, size / 4},
		{Worthwhile, size / 8},
		{time.Second, size / 8},
	} {
		if got := Worth(size, test.roundTrip); got != test.want {
			t.Errorf("round trip of %v: %d bytes, want %d", test.roundTrip, got, test.want)
		}
	}
}
