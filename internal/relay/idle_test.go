package relay_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/backdial/backdial/internal/relay"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

// TestIdle holds pairs that have passed something on both ways, and now wait.
func TestIdle(t *testing.T) {
	const (
		pairs = 1000
		most  = 24 << 10 // bytes of memory each: two stacks, and no buffers
	)
	leak.Check(t)
	for _, m := range muxers {
		t.Run(m.Name(), func(t *testing.T) {
			h := newHop(t, m, m, mux.Config{}, overTCP)
			type streams struct{ asker, near, far, device mux.Stream }
			var all []streams
			for range pairs {
				var s streams
				s.asker, s.near = openStream(t, h.asker, h.near)
				s.far, s.device = openStream(t, h.far, h.device)
				exchange(t, s.asker, s.near)
				exchange(t, s.far, s.device)
				all = append(all, s)
			}
			before, goroutines := memory(), runtime.NumGoroutine()
			done := make(chan error, pairs)
			for _, s := range all {
				go func() { done <- relay.Join(s.near, s.far) }()
				exchange(t, s.asker, s.device)
			}
			used := (memory() - before) / pairs
			more := float64(runtime.NumGoroutine()-goroutines) / pairs
			t.Logf("an idle pair takes %d bytes and %.1f goroutines", used, more)
			if used > most || more > 2.1 {
				t.Errorf("an idle pair takes %d bytes and %.1f goroutines, want %d and 2 at most", used, more, most)
			}
			for _, s := range all {
				s.asker.Close()
				s.device.Close()
			}
			for range pairs {
				await.From(t, "Join", done)
			}
			h.checkGone(t)
		})
	}
}

// exchange carries a message each way, between the two ends of a stream.
func exchange(t *testing.T, a, b mux.Stream) {
	t.Helper()
	message := make([]byte, 4<<10)
	for _, ends := range [][2]mux.Stream{{a, b}, {b, a}} {
		if _, err := ends[0].Write(message); err != nil {
			t.Fatal("write:", err)
		}
		if _, err := io.ReadFull(ends[1], message); err != nil {
			t.Fatal("read:", err)
		}
	}
}

// memory is what the heap and stacks hold.
func memory() int64 {
	runtime.GC()
	runtime.GC() // what pools held is gone now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
