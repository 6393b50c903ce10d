package nativemux_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux"
)

// narrow is a path that carries so many bytes a second each way, and has an endless queue.
func narrow(rate int) conditions {
	const packet = 1400 // bytes; most have nearly as many
	each := packet * time.Second / time.Duration(rate)
	return conditions{delay: func(uint64) func() time.Duration {
		var free time.Time // when the path has carried everything
		return func() time.Duration {
			if now := time.Now(); free.Before(now) {
				free = now
			}
			free = free.Add(each)
			return time.Until(free)
		}
	}}
}

// TestWindowFollowsPath fills a distant stream. Its first window would carry 5 MB/s.
func TestWindowFollowsPath(t *testing.T) {
	long.OnlyWithRace(t)
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, narrow(100e6))
		d := n.sessions(t, mux.Config{})
		from, to := open(t, d.dial, d.listen)
		go func() { // ends with the session
			for b := make([]byte, 64<<10); ; {
				if _, err := from.Write(b); err != nil {
					return
				}
			}
		}()
		b := make([]byte, 64<<10)
		read := func(length time.Duration) (bytes int) {
			for began := time.Now(); time.Since(began) < length; {
				n, err := to.Read(b)
				if err != nil {
					t.Fatal("read:", err)
				}
				bytes += n
			}
			return bytes
		}
		read(12 * roundTrip) // meanwhile everything grows
		const rounds = 5
		rate := float64(read(rounds*roundTrip)) / (rounds * roundTrip).Seconds() / 1e6
		t.Logf("%.1f MB/s", rate)
		if rate < 40 {
			t.Errorf("a stream carries %.1f MB/s over %v, want at least 40", rate, roundTrip)
		}
	})
}
