package transport

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
)

// In FuzzRetryAfter two servers ask for any wait. The client obeys the longer one, within
// reason.
func FuzzRetryAfter(f *testing.F) {
	f.Fuzz(func(t *testing.T, one, other string, unix int64) {
		now := time.Unix(unix, 0)
		var each [2]time.Duration
		for i, text := range []string{one, other} {
			each[i] = retryAfter(busy(text), now)
			if each[i] < 0 || each[i] > time.Hour {
				t.Errorf("a wait of %v for %q", each[i], text)
			}
			if n, err := strconv.ParseUint(text, 10, 12); err == nil && each[i] != min(time.Duration(n)*time.Second, time.Hour) {
				t.Errorf("a wait of %v for %d s", each[i], n)
			}
		}
		if got, want := retryAfter(&tryErrors{busy(one), busy(other)}, now), max(each[0], each[1]); got != want {
			t.Errorf("a wait of %v for %q and %q, want %v", got, one, other, want)
		}
	})
}

// busy is the error of a server that asks to be left alone for a while.
func busy(retryAfter string) error {
	return &carrier.RejectedError{
		StatusCode: http.StatusServiceUnavailable,
		Header:     http.Header{"Retry-After": {retryAfter}},
	}
}
