// Package leak finds goroutines that outlive the test that started them.
package leak

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds the wait for goroutines that are about to end: long enough for a loaded
// machine under the race detector.
const patience = 10 * time.Second

// Check fails t if goroutines started after this call are still running when t and the
// cleanups registered after this call have ended, except those that options in ignored
// allow. Call it first. It cannot tell apart the goroutines of parallel tests.
func Check(t testing.TB, ignored ...goleak.Option) {
	t.Helper()
	ignored = append(ignored, goleak.IgnoreCurrent())
	t.Cleanup(func() {
		if t.Failed() {
			return // a test that stopped half way leaves goroutines behind
		}
		var err error
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			if err = goleak.Find(ignored...); err == nil {
				return
			}
		}
		t.Errorf("leak: %v", err)
	})
}
