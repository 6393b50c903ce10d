package muxtest_test

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
	. "github.com/backdial/backdial/mux/muxtest"
)

func TestMain(m *testing.M) { os.Exit(suite.Main(m, 8)) }

// plantedEnv makes a test run the suite, which may fail, in a process of its own.
const plantedEnv = "BACKDIAL_MUXTEST_PLANTED"

// planted reports whether this process runs the suite.
func planted() bool { return os.Getenv(plantedEnv) != "" }

// rerun runs the promises of t in a process of its own, or only one of them.
func rerun(t *testing.T, only Promise, env ...string) (passed bool, output string) {
	t.Helper()
	return suite.RerunPart(t, string(only), append(env, plantedEnv+"=1")...)
}

// soon shortens the time for which something blocks that would block forever, if a fault
// does that.
func (f fault) soon() time.Duration {
	switch {
	case f.breaks == nil:
		return suite.Soon()
	case f.only == ManyStreams: // it takes that long to open 65,537 streams
		return 90 * time.Second
	case slices.Contains(f.breaks, SteadyReaders): // even a sound one takes several seconds
		return 8 * time.Second
	}
	return 4 * time.Second
}

func TestFaults(t *testing.T) {
	long.Only(t)
	for _, f := range slices.Concat(faults, steadyFaults) {
		t.Run(f.name, func(t *testing.T) {
			if planted() {
				f.test(t)
				return
			}
			if f.fast && Slowdown > 1 {
				t.Skip("run it without the race detector")
			}
			t.Parallel() // with other processes, which do all the work
			out := suite.ExpectBroken(t, f.breaks, f.soon(), func(env ...string) (bool, string) { return rerun(t, f.only, env...) })
			if !strings.Contains(out, f.says) {
				t.Errorf("the suite does not say %q\n%s", f.says, out)
			}
		})
	}
}

// test runs the suite, which must not keep what a faulty muxer goes on sending.
// HostileInput, Distance and SteadyReaders take long, and are left out if f does not
// break them.
func (f fault) test(t *testing.T) {
	defer t.Run("Memory", func(t *testing.T) { checkMemory(t, 512<<20) })
	var deviations []Deviation
	if f.only != ResetWithCode {
		deviations = append(deviations, Deviation{Promise: ResetWithCode, Because: "yamux has no codes"})
	}
	switch breaks := func(p Promise) bool { return slices.Contains(f.breaks, p) }; {
	case f.breaks == nil, breaks(HostileInput), breaks(Distance), breaks(Leaves):
		Test(t, f.muxer, deviations...)
	case breaks(SteadyReaders):
		TestSessions(t, Over(f.muxer), deviations...)
	default:
		Most(t, Over(f.muxer), deviations...)
	}
}

// checkMemory expects this process never to have used more than limit bytes.
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
		{"Excused", Deviation{Promise: BoundedMemory, Because: "a fault is planted"}, true, "deviation: a fault is planted"},
		{"Stale", Deviation{Promise: OpenIsImmediate, Because: "nobody knows"}, false, `stale deviation: the promise is kept, although "nobody knows"`},
		{"Unknown", Deviation{Promise: "Perfection", Because: "nobody is perfect"}, false, `deviation from "Perfection", which is not a promise`},
		{"Unreasoned", Deviation{Promise: BoundedMemory}, false, `deviation from "BoundedMemory" without a reason`},
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
