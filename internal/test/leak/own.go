package leak

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// label marks the goroutines of a test. A goroutine has the label of the one that started it.
const label = "backdial.leak"

// pause is how often Own looks.
const pause = time.Millisecond

// owners numbers the tests that have called Own.
var owners atomic.Int64

// Own is like [Check], for tests that run beside each other: it looks only for goroutines that
// t has started, or that these have started. It must be called in t's own goroutine, and
// before anything is started. It does not see goroutines that timers start, such as those of
// [time.AfterFunc]: use [Since] around several tests, or [Parallel], to find these.
func Own(t testing.TB) {
	t.Helper()
	owner := strconv.FormatInt(owners.Add(1), 10)
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, owner)))
	t.Cleanup(func() {
		pprof.SetGoroutineLabels(context.Background()) // of t itself, which is not a leak
		if t.Failed() {
			return // a test that stopped half way leaves things behind
		}
		var left []byte
		for deadline := time.Now().Add(patience()); time.Now().Before(deadline); time.Sleep(pause) {
			if left = labelled(owner); left == nil {
				return
			}
		}
		t.Errorf("leak: goroutines of %s are still running\n%s", t.Name(), left)
	})
}

// labelled returns the stacks of the goroutines that have owner's label.
func labelled(owner string) (stacks []byte) {
	var profile bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&profile, 1)
	mark := fmt.Appendf(nil, "%q:%q", label, owner)
	for stack := range bytes.SplitSeq(profile.Bytes(), []byte("\n\n")) {
		if bytes.Contains(stack, mark) {
			stacks = append(append(stacks, stack...), "\n\n"...)
		}
	}
	return stacks
}
