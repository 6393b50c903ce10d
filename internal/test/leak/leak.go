// Package leak finds goroutines that outlive the test that started them.
package leak

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// PatienceEnv sets, as a duration, how long to wait for goroutines that are about to end. It is
// for a process that is expected to have a leak.
const PatienceEnv = "BACKDIAL_LEAK_PATIENCE"

// patience bounds the wait for goroutines that are about to end: long enough for a loaded
// machine under the race detector.
func patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(PatienceEnv)); err == nil {
		return d
	}
	return 10 * time.Second
}

// Check fails t if goroutines started after this call are still running when t and the
// cleanups registered after this call have ended, except those that options in ignored
// allow. Call it first. It cannot tell apart the goroutines of parallel tests: [Own] can.
func Check(t testing.TB, ignored ...goleak.Option) {
	t.Helper()
	since := Since(ignored...)
	t.Cleanup(func() {
		if t.Failed() {
			return // a test that stopped half way leaves goroutines behind
		}
		if err := since(); err != nil {
			t.Error(err)
		}
	})
}

// Since returns a function that waits until no goroutine is left that was started after this
// call. If one does not end, the function returns an error with its stack.
func Since(ignored ...goleak.Option) (check func() error) {
	find := started(ignored...)
	return func() error {
		var err error
		for deadline := time.Now().Add(patience()); time.Now().Before(deadline); {
			if err = find(); err == nil {
				return nil
			}
		}
		return fmt.Errorf("leak: %w", err)
	}
}

// started returns a function that finds goroutines which were started after this call.
func started(ignored ...goleak.Option) (find func() error) {
	ignored = append(ignored, goleak.IgnoreCurrent())
	return func() error { return goleak.Find(ignored...) }
}
