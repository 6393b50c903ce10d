// Package suite runs the promises of a contract as named subtests. It is the common part
// of muxtest, carriertest and transporttest.
package suite

import (
	"slices"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
)

// A Promise is one line of a contract, with its test. The subtests that Test runs are the
// promise's parts.
type Promise struct {
	Name string
	Test func(t *testing.T)
}

// Run tests every promise in a subtest with its name, and checks for leaked goroutines. A
// promise that is not done within its limit fails with the stacks of its goroutines, and
// Run goes on with the next one. Run expects what deviations excuse to fail, in a process
// of its own.
func Run(t *testing.T, promises []Promise, deviations []Deviation) {
	t.Helper()
	checkDeviations(t, promises, deviations)
	var hanging []<-chan struct{}
	for _, p := range promises {
		hanging = slices.DeleteFunc(hanging, isClosed)
		test := func(t *testing.T) {
			if len(hanging) == 0 { // otherwise it is unclear whose goroutines are left
				leak.Check(t)
			}
			p.Test(t)
		}
		if excused := ofPromise(deviations, p.Name); len(excused) > 0 && !isDeviant() {
			test = func(t *testing.T) { expectFailures(t, excused) }
		}
		if over := watch(t, p.Name, test); over != nil {
			hanging = append(hanging, over)
		}
	}
	awaitHanging(hanging)
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
