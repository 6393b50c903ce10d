// Package leak finds goroutines that outlive the test that started them.
package leak

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds the wait for goroutines that are on their way out: long
// enough for a loaded machine under the race detector.
const patience = 10 * time.Second

// Check fails t if goroutines started after this call are still running once
// t and the cleanups registered after this call have ended, unless an option in
// ignored says otherwise. Call it first. It cannot tell the goroutines of parallel
// tests apart.
func Check(t testing.TB, ignored ...goleak.Option) {
	t.Helper()
	ignored = append(ignored, goleak.IgnoreCurrent())
	t.Cleanup(func() {
		if t.Failed() {
			return // a test that stopped half way leaves things behind
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
