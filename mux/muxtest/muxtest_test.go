package muxtest_test

import (
	"flag"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/suite"
	. "github.com/backdial/backdial/mux/muxtest"
)

// children is how many processes run at a time. Mostly they wait.
const children = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", children)
	os.Exit(m.Run())
}

// plantedEnv makes a test run the suite, which may fail, in a process of its
// own.
const plantedEnv = "BACKDIAL_MUXTEST_PLANTED"

// planted reports whether this is a process that runs the suite. In there what
// blocks for ever does so for a shorter time.
func planted() bool {
	if os.Getenv(plantedEnv) == "" {
		return false
	}
	SetSoon(4 * time.Second)
	return true
}

// rerun runs the promises of t in a process of its own.
func rerun(t *testing.T, only Promise) (passed bool, output string) {
	t.Helper()
	if only == "" {
		return suite.Rerun(t, plantedEnv+"=1")
	}
	t.Run(string(only), func(t *testing.T) { passed, output = suite.Rerun(t, plantedEnv+"=1") })
	return passed, output
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if planted() {
				f.test(t)
				return
			}
			t.Parallel() // with other processes, which do all the work
			passed, out := rerun(t, f.only)
			if got, want := suite.Failed[Promise](t, out), slices.Sorted(slices.Values(f.breaks)); !slices.Equal(got, want) {
				t.Errorf("the suite fails %q, want %q\n%s", got, want, out)
			}
			if sound := len(f.breaks) == 0; passed != sound || !strings.Contains(out, f.says) {
				t.Errorf("the suite passes: %t, want %t and %q\n%s", passed, sound, f.says, out)
			}
		})
	}
}

// test runs the suite, which is not to hold what a faulty muxer keeps sending.
// HostileInput costs as much as all the rest, and is left out if f leaves it alone.
func (f fault) test(t *testing.T) {
	defer t.Run("Memory", func(t *testing.T) { checkMemory(t, 512<<20) })
	if f.breaks == nil || slices.Contains(f.breaks, HostileInput) {
		Test(t, f.muxer)
		return
	}
	TestSessions(t, Over(f.muxer))
}

// checkMemory expects that this process has never had more than limit bytes.
func checkMemory(t *testing.T, limit uint64) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	if stats.Sys > limit {
		t.Errorf("the suite took %d MiB, want %d at most", stats.Sys>>20, limit>>20)
	}
}

func TestDeviations(t *testing.T) {
	for _, d := range []struct {
		name      string
		deviation Deviation
		passes    bool
		says      string
	}{
		{"Excused", Deviation{BoundedMemory, "a fault is planted"}, true, "deviation: a fault is planted"},
		{"Stale", Deviation{OpenIsImmediate, "nobody knows"}, false, `stale deviation: the promise is kept, although "nobody knows"`},
		{"Unknown", Deviation{"Perfection", "nobody is perfect"}, false, `deviation from "Perfection", which is not a promise`},
		{"Unreasoned", Deviation{BoundedMemory, ""}, false, `deviation from "BoundedMemory" without a reason`},
	} {
		t.Run(d.name, func(t *testing.T) {
			if planted() {
				Test(t, receiveBufferIgnored, d.deviation)
				return
			}
			t.Parallel()
			only := d.deviation.Promise
			if d.name == "Unknown" {
				only = OpenIsImmediate
			}
			passed, out := rerun(t, only)
			if passed != d.passes || !strings.Contains(out, d.says) {
				t.Errorf("the suite passes: %t, want %t and %q\n%s", passed, d.passes, d.says, out)
			}
		})
	}
}
