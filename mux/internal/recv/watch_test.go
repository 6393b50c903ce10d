package recv

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPatience reads a stream once, and then never again.
func TestPatience(t *testing.T) {
	for patience, want := range map[time.Duration]time.Duration{0: readPatience, 5 * time.Second: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := Watch[string]{Patience: patience}
			stream := map[string]Progress{"it": {Holds: 100 << 10}}
			w.Look(stream)
			stream["it"] = Progress{Consumed: hardly, Holds: 100 << 10}
			begun := time.Now()
			for len(w.Abandoned()) == 0 && time.Since(begun) < time.Minute {
				time.Sleep(Interval)
				w.Look(stream)
			}
			if took := time.Since(begun); took <= want || took > want+3*Interval {
				t.Errorf("with a patience of %v it is abandoned after %v, want a bit more than %v", patience, took, want)
			}
		})
	}
}
