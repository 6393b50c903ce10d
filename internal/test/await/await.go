// Package await lets tests wait for what they expect, and fails them if that takes too
// long.
package await

import (
	"testing"
	"time"
)

const (
	// patience is long enough for a loaded machine under the race detector, and for
	// processes such as browsers and proxies.
	patience = time.Minute

	// poll is the interval between two looks.
	poll = time.Millisecond
)

// Until waits until done returns true. If it never does, Until fails t and says what it
// waited for.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); <-time.After(poll) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// From waits for a value from c, or until c is closed.
func From[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not after %v", what, patience)
	}
	return v
}
