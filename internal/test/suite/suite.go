// Package suite runs the promises of a contract as named subtests. It is the common part
// of muxtest, carriertest and transporttest.
package suite

import (
	"slices"
	"sync"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
)

// A Promise is one line of a contract, with its test. The subtests that Test runs are the
// promise's parts.
type Promise struct {
	Name string
	Test func(t *testing.T)

	// Waits says that Test mostly waits. [Run] then tests it beside other promises that do, so
	// Test must not measure memory, or expect something within a short time.
	Waits bool
}

// beside is how many promises that wait are tested at a time.
const beside = 8

// Run tests every promise in a subtest with its name, and checks for leaked goroutines. A
// promise that is not done within its limit fails with the stacks of its goroutines, and
// Run goes on with the next one. Run expects what deviations excuse to fail, in a process
// of its own.
func Run(t *testing.T, promises []Promise, deviations []Deviation) {
	t.Helper()
	checkDeviations(t, promises, deviations)
	r := &runner{deviations: deviations}
	for _, p := range promises {
		if !p.Waits {
			r.run(t, p)
		}
	}
	r.runWaiting(t, slices.DeleteFunc(slices.Clone(promises), func(p Promise) bool { return !p.Waits }))
	awaitHanging(r.hanging)
}

// A runner tests promises.
type runner struct {
	deviations []Deviation

	mu      sync.Mutex // guards hanging
	hanging []<-chan struct{}
}

// run tests p.
func (r *runner) run(t *testing.T, p Promise) {
	t.Helper()
	test := func(t *testing.T) {
		switch {
		case p.Waits:
			leak.Own(t)
		case !r.hangs(): // otherwise the goroutines that are left may be another's
			leak.Check(t)
		}
		p.Test(t)
	}
	if excused := ofPromise(r.deviations, p.Name); len(excused) > 0 && !isDeviant() {
		test = func(t *testing.T) { expectFailures(t, excused) }
	}
	if over := watch(t, p.Name, test); over != nil {
		r.mu.Lock()
		r.hanging = append(r.hanging, over)
		r.mu.Unlock()
	}
}

// runWaiting tests promises beside each other. Goroutines that timers have started are looked
// for at the end, because they are not known to be of one of the promises.
func (r *runner) runWaiting(t *testing.T, promises []Promise) {
	t.Helper()
	leaks := leak.Since()
	slots := make(chan struct{}, beside)
	var all sync.WaitGroup
	for _, p := range promises {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			r.run(t, p)
		})
	}
	all.Wait()
	if t.Failed() || r.hangs() {
		return
	}
	if err := leaks(); err != nil {
		t.Error(err)
	}
}

// hangs reports whether a promise still hangs.
func (r *runner) hangs() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hanging = slices.DeleteFunc(r.hanging, isClosed)
	return len(r.hanging) > 0
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func ofPromise(deviations []Deviation, name string) []Deviation {
	return slices.DeleteFunc(slices.Clone(deviations), func(d Deviation) bool { return d.Promise != name })
}
