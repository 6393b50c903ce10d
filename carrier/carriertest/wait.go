package carriertest

import (
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/suite"
)

// patience bounds what must happen, on a loaded machine.
var patience = suite.Soon() / 2

// atOnce bounds what must not wait for anything. It is shorter than any timeout behind
// which a carrier might hide.
const atOnce = 2 * time.Second

// receive returns the value from c, and fails t if that takes too long.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	return receiveWithin(t, patience, what, c)
}

// receiveWithin is receive with a time limit of d.
func receiveWithin[T any](t *testing.T, d time.Duration, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(d):
		t.Fatalf("%s is not done after %v", what, d)
		panic("unreachable")
	}
}

// start calls f in a goroutine and returns a channel for its result.
func start[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// doneWithin calls f, and fails t if it takes longer than d.
func doneWithin(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	done := start(func() struct{} { f(); return struct{}{} })
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s is not done after %v", what, d)
	}
}
