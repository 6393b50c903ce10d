package window

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
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

// TestIsWorth has a reader that reads a quarter of its window now and then. Its peer hears of
// each, also on a short path.
func TestIsWorth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 256 << 10
		var p Pool
		p.Init(&mux.Config{Window: size, MaxWindow: size}, 1<<20)
		w := p.New()
		for consumed := uint64(size / 4); consumed < 2*size; consumed += size / 4 {
			if !p.IsWorth(&w, size/4, 0) {
				t.Error("a quarter is not worth a frame, although the last one was long ago")
			}
			p.Extend(&w, consumed, 0, nil)
			if p.IsWorth(&w, size/4, 0) || !p.IsWorth(&w, size/2, 0) {
				t.Error("a quarter is worth a frame at once, or half is not")
			}
			time.Sleep(2 * lately)
		}
	})
}
