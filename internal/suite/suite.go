// Package suite runs the promises of a contract as named subtests. It is what
// muxtest, carriertest and transporttest have in common.
package suite

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/leak"
)

// patience bounds a single promise. A promise that takes longer is broken: its
// test would wait for ever.
const patience = 2 * time.Minute

// A Promise is one line of a contract, and the test of it.
type Promise struct {
	Name string
	Test func(t *testing.T)
}

// A Deviation says that an implementation does not keep a promise, and why.
// It has to be true: if the promise is kept after all, the suite fails.
type Deviation struct {
	// Promise is the name of the subtest.
	Promise string
	// Because is for the reader of the implementation's documentation.
	Because string
}

// staleEnv makes Run test a promise even though a deviation excuses it.
const staleEnv = "BACKDIAL_SUITE_IGNORE_DEVIATIONS"

// Run tests every promise in a subtest of its name, under a watchdog and with
// a check for leaked goroutines. A promise that deviations excuse is expected
// to fail, in a process of its own.
func Run(t *testing.T, promises []Promise, deviations []Deviation) {
	t.Helper()
	for _, d := range deviations {
		known := func(p Promise) bool { return p.Name == d.Promise }
		if !slices.ContainsFunc(promises, known) {
			t.Errorf("deviation from %q, which is not a promise", d.Promise)
		}
		if d.Because == "" {
			t.Errorf("deviation from %q without a reason", d.Promise)
		}
	}
	for _, p := range promises {
		t.Run(p.Name, func(t *testing.T) {
			i := slices.IndexFunc(deviations, func(d Deviation) bool { return d.Promise == p.Name })
			if i >= 0 && os.Getenv(staleEnv) == "" {
				expectFailure(t, deviations[i])
				return
			}
			watchdog := time.AfterFunc(patience, func() {
				panic(fmt.Sprintf("%s is not done after %v", t.Name(), patience))
			})
			defer watchdog.Stop()
			leak.Check(t)
			p.Test(t)
		})
	}
}

// expectFailure runs the test that t is in, in a process of its own, because
// a subtest that fails would fail t with it.
func expectFailure(t *testing.T, d Deviation) {
	t.Helper()
	passed, out := Rerun(t, staleEnv+"=1")
	if passed {
		t.Errorf("stale deviation: the promise is kept, although %q\n%s", d.Because, out)
		return
	}
	t.Skipf("deviation: %s", d.Because)
}

// Rerun runs the test that t is in again, alone, in a process of its own with
// env added to its environment. It reports whether it passed, and its output.
func Rerun(t *testing.T, env ...string) (passed bool, output string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", pattern(t.Name()), "-test.v", "-test.timeout", "3m")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

// Failed returns the promises that have failed according to the output of a [Rerun] of t,
// whose subtests they are, in order.
func Failed[P ~string](t *testing.T, output string) []P {
	line := regexp.MustCompile(`(?m)^ *--- FAIL: ` + regexp.QuoteMeta(t.Name()) + `/([^/ ]+) `)
	var failed []P
	for _, m := range line.FindAllStringSubmatch(output, -1) {
		failed = append(failed, P(m[1]))
	}
	slices.Sort(failed)
	return failed
}

// pattern returns the -test.run pattern that matches the test called name and
// no other.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}
