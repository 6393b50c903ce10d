package setting

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
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

// TestHandshake sets the limit to 0, to something and to less than 0, in contexts without a
// deadline and with one.
func TestHandshake(t *testing.T) {
	const byDefault, later = time.Minute, time.Hour
	for _, test := range []struct{ d, deadline, want time.Duration }{
		{0, 0, byDefault}, {time.Second, 0, time.Second}, {-1, 0, 0},
		{0, later, later}, {time.Second, later, time.Second}, {-1, later, later},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if test.deadline > 0 {
				bounded, cancel := context.WithTimeout(ctx, test.deadline)
				defer cancel()
				ctx = bounded
			}
			ctx, cancel := Handshake(ctx, test.d, byDefault)
			defer cancel()
			deadline, ok := ctx.Deadline()
			if got := time.Until(deadline); ok != (test.want > 0) || ok && got != test.want {
				t.Fatalf("with %v and a deadline in %v: a deadline in %v, %t, want %v", test.d, test.deadline, got, ok, test.want)
			}
			if test.want == 0 || test.want == test.deadline {
				return
			}
			<-ctx.Done()
			want := "no handshake within " + test.want.String() + ": context deadline exceeded"
			if err := context.Cause(ctx); err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	for n, want := range map[int]int{0: 10, 3: 3, -1: math.MaxInt} {
		if got := Limit(n, 10); got != want {
			t.Errorf("Limit(%d) is %d, want %d", n, got, want)
		}
	}
}
