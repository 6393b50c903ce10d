package transport

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
)

func TestBackoffBound(t *testing.T) {
	for _, b := range []Backoff{
		{Min: 1, Max: math.MaxInt64},
		{Min: math.MaxInt64, Max: math.MaxInt64},
		{Min: time.Second, Max: 30 * time.Second},
		{Min: 3, Max: 4},
		{Max: 3, MaxRefused: 4},
		{Max: math.MaxInt64},
	} {
		b = b.withDefaults()
		before, beforeRefused := time.Duration(0), time.Duration(0)
		for n := range 200 {
			got := b.bound(n)
			if got < b.Min || got > b.Max || got < before || n == 0 && got != b.Min || n == 199 && got != b.Max {
				t.Fatalf("%+v: bound %d is %d, after %d", b, n, got, before)
			}
			before = got
			got = b.boundRefused(n)
			if got < b.Max || got > b.MaxRefused || got < beforeRefused || n == 0 && got != b.Max || n == 199 && got != b.MaxRefused {
				t.Fatalf("%+v: bound %d of refusals is %d, after %d", b, n, got, beforeRefused)
			}
			beforeRefused = got
			if wait := b.waitRefused(n, nil); wait < got/2 || wait > got {
				t.Fatalf("%+v: wait of %d after %d refusals, want up to %d", b, wait, n, got)
			}
		}
	}
}

// In TestRefusedByAnybody a refusal asks for a longer wait than a correction may take. The
// answer may be somebody else's.
func TestRefusedByAnybody(t *testing.T) {
	b := Backoff{}.withDefaults()
	err := &carrier.RejectedError{StatusCode: http.StatusForbidden, Header: http.Header{"Retry-After": {"86400"}}}
	for range 1000 {
		if wait := b.waitRefused(0, err); wait < b.MaxRefused/2 || wait > b.MaxRefused {
			t.Fatalf("wait of %v, want up to %v", wait, b.MaxRefused)
		}
	}
}
