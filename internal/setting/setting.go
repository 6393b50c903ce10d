// Package setting is the rule for options: 0 means the default, and a negative value means
// that there is no limit, or that something does not happen.
package setting

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Forever is longer than anything lasts, and short enough to add to a time.
const Forever = 100 * 365 * 24 * time.Hour

// Timeout returns how long something may take, or has to wait: d, byDefault if d is 0, and
// [Forever] if d is negative.
func Timeout(d, byDefault time.Duration) time.Duration {
	switch {
	case d == 0:
		return byDefault
	case d < 0:
		return Forever
	}
	return d
}

// Handshake returns ctx with the limit that a client's handshake has beside it: d, or
// byDefault if d is 0 and ctx has no deadline. A negative d is no limit.
func Handshake(ctx context.Context, d, byDefault time.Duration) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); d == 0 && !bounded {
		d = byDefault
	}
	if d <= 0 {
		return ctx, func() {}
	}
	late := fmt.Errorf("no handshake within %v: %w", d, context.DeadlineExceeded)
	return context.WithTimeoutCause(ctx, d, late)
}

// Limit returns how many of something there may be: n, byDefault if n is 0, and the largest
// int if n is negative.
func Limit(n, byDefault int) int {
	switch {
	case n == 0:
		return byDefault
	case n < 0:
		return math.MaxInt
	}
	return n
}
