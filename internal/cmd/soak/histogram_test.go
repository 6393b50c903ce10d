package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var chance = rand.New(rand.NewPCG(1, 2))

func evenly(n int, within time.Duration) (all []time.Duration) {
	for range n {
		all = append(all, between(chance, 0, within))
	}
	return all
}

func TestHistogram(t *testing.T) {
	h := histogram{row: time.Second, arrivals: evenly(1000, 10*time.Second), expected: evenly(100_000, 10*time.Second)}
	if err := h.err(); err != nil {
		t.Error(err)
	}
	var out strings.Builder
	h.write(&out)
	if lines := strings.Split(out.String(), "\n"); len(lines) < 11 || !strings.Contains(lines[10], "9s") || !strings.Contains(lines[10], "│") {
		t.Error(out.String())
	}
	for name, crowd := range map[string][]time.Duration{
		"at once":        evenly(1000, time.Millisecond),
		"in two seconds": evenly(1000, 2*time.Second),
		"at first":       append(evenly(700, 10*time.Second), make([]time.Duration, 300)...),
	} {
		h.arrivals = crowd
		if err := h.err(); err == nil {
			t.Errorf("no error for clients that come %s", name)
		}
	}
	h.arrivals, h.stall = evenly(1000, 3*time.Second), 3*time.Second
	if err := h.err(); err != nil {
		t.Error("after a stall:", err)
	}
}
