package setting

import (
	"math"
	"testing"
	"time"
)

func TestTimeout(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		0: time.Minute, time.Second: time.Second, -1: Forever, math.MinInt64: Forever,
	} {
		if got := Timeout(d, time.Minute); got != want {
			t.Errorf("Timeout(%v) is %v, want %v", d, got, want)
		}
	}
	if now := time.Now(); !now.Add(2 * Forever).After(now) {
		t.Error("Forever is too long to be added to a time")
	}
}

func TestLimit(t *testing.T) {
	for n, want := range map[int]int{0: 10, 3: 3, -1: math.MaxInt} {
		if got := Limit(n, 10); got != want {
			t.Errorf("Limit(%d) is %d, want %d", n, got, want)
		}
	}
}
