// Package setting is the rule for options: 0 means the default, and a negative value means
// that there is no limit, or that something does not happen.
package setting

import (
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
