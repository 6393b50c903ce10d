package transport

import (
	"math"
	"testing"
	"time"
)

func TestBackoffBound(t *testing.T) {
	for _, b := range []Backoff{
		{Min: 1, Max: math.MaxInt64},
		{Min: math.MaxInt64, Max: math.MaxInt64},
		{Min: time.Second, Max: 30 * time.Second},
		{Min: 3, Max: 4},
	} {
		before := time.Duration(0)
		for n := range 200 {
			got := b.bound(n)
			if got < b.Min || got > b.Max || got < before || n == 0 && got != b.Min || n == 199 && got != b.Max {
				t.Fatalf("%+v: bound %d is %d, after %d", b, n, got, before)
			}
			before = got
		}
	}
}
