package suite_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/suite"
)

func TestMain(m *testing.M) { os.Exit(suite.Main(m, 24)) }

// plantedEnv makes a test run a suite, which may fail, in a process of its own.
const plantedEnv = "BACKDIAL_SUITE_PLANTED"

var promises = []suite.Promise{
	{Name: "Kept", Test: func(*testing.T) {}},
	{Name: "Broken", Test: func(t *testing.T) { t.Error("broken") }},
	{Name: "Half", Test: func(t *testing.T) {
		t.Run("sound", func(*testing.T) {})
		t.Run("un sound", func(t *testing.T) { t.Error("broken") })
	}},
	{Name: "Quarter", Test: func(t *testing.T) {
		t.Run("first", func(t *testing.T) { t.Error("broken") })
		t.Run("second", func(t *testing.T) {
			t.Run("deep", func(t *testing.T) { t.Error("broken") })
		})
	}},
	{Name: "Panics", Test: func(*testing.T) { panic("broken") }},
	{Name: "PanicsBeside", Test: func(*testing.T) {
		go panic("broken")
		select {}
	}},
	{Name: "Hangs", Test: func(t *testing.T) {
		t.Run("for ever", func(*testing.T) { sleepForEver() })
	}},
	{Name: "Leaks", Test: func(*testing.T) { go sleepForEver() }},
	{Name: "Waits", Waits: true, Test: func(*testing.T) {}},
	{Name: "WaitsAndBreaks", Waits: true, Test: func(t *testing.T) { t.Error("broken") }},
	{Name: "WaitsAndHangs", Waits: true, Test: func(*testing.T) { sleepForEver() }},
	{Name: "WaitsAndLeaks", Waits: true, Test: func(*testing.T) { go sleepForEver() }},
	{Name: "WaitsAndLeaksDeep", Waits: true, Test: func(t *testing.T) {
		done := make(chan bool)
		t.Run("part", func(*testing.T) { go func() { go sleepForEver(); close(done) }() })
		<-done
	}},
	{Name: "WaitsAndLeaksLate", Waits: true, Test: func(*testing.T) {
		late := make(chan bool)
		time.AfterFunc(0, func() { close(late); sleepForEver() })
		<-late
	}},
}

func sleepForEver() { select {} }

// named returns the promises with these names.
func named(names ...string) (named []suite.Promise) {
	for _, p := range promises {
		if slices.Contains(names, p.Name) {
			named = append(named, p)
		}
	}
	return named
}

func TestRun(t *testing.T) {
	t.Parallel()
	const why = "for a reason"
	for _, test := range []struct {
		name       string
		promises   []suite.Promise
		deviations []suite.Deviation
		passes     bool
		says       string
	}{
		{name: "Kept", promises: named("Kept"), passes: true},
		{name: "Broken", promises: named("Broken", "Kept")},
		{name: "Leaks", promises: named("Leaks"), says: "suite_test.sleepForEver"},
		{name: "Waits", promises: named("Waits"), passes: true},
		{name: "WaitsAndBreaks", promises: named("Waits", "WaitsAndBreaks"), says: "--- PASS: TestRun/WaitsAndBreaks/Waits"},
		{name: "WaitsAndLeaks", promises: named("Waits", "WaitsAndLeaks"), says: "--- FAIL: TestRun/WaitsAndLeaks/WaitsAndLeaks"},
		{name: "WaitsBesideLeak", promises: named("Waits", "WaitsAndLeaks"), says: "--- PASS: TestRun/WaitsBesideLeak/Waits"},
		{name: "WaitsAndLeaksDeep", promises: named("WaitsAndLeaksDeep"), says: "suite_test.sleepForEver"},
		{name: "WaitsAndLeaksLate", promises: named("WaitsAndLeaksLate"), says: "suite_test.sleepForEver"},
		{name: "WaitsExcused", promises: named("WaitsAndBreaks"), passes: true,
			deviations: []suite.Deviation{{Promise: "WaitsAndBreaks", Because: why}}},
		{name: "Excused", promises: named("Broken"), passes: true, says: "deviation: " + why,
			deviations: []suite.Deviation{{Promise: "Broken", Because: why}}},
		{name: "Stale", promises: named("Kept"), says: `stale deviation: the promise is kept, although "for a reason"`,
			deviations: []suite.Deviation{{Promise: "Kept", Because: why}}},
		{name: "Unknown", promises: named("Kept"), says: `deviation from "Perfect", which is not a promise`,
			deviations: []suite.Deviation{{Promise: "Perfect", Because: why}}},
		{name: "Unreasoned", promises: named("Broken"), says: `deviation from "Broken" without a reason`,
			deviations: []suite.Deviation{{Promise: "Broken"}}},
		{name: "PartExcused", promises: named("Half"), passes: true, says: "deviation from Half/un_sound: " + why,
			deviations: []suite.Deviation{{Promise: "Half", Part: "un sound", Because: why}}},
		{name: "PartStale", promises: named("Half"), says: "stale deviation",
			deviations: []suite.Deviation{{Promise: "Half", Part: "un sound", Because: why}, {Promise: "Half", Part: "sound", Because: why}}},
		{name: "PartUnknown", promises: named("Half"), says: "deviation from Half/unsound, which is no part of the promise",
			deviations: []suite.Deviation{{Promise: "Half", Part: "unsound", Because: why}}},
		{name: "PartMissing", promises: named("Half"), says: "deviation from Half does not say which part: un_sound",
			deviations: []suite.Deviation{{Promise: "Half", Because: why}}},
		{name: "OtherPartFails", promises: named("Quarter"), says: "other parts than [\"Quarter/first\"] fail",
			deviations: []suite.Deviation{{Promise: "Quarter", Part: "first", Because: why}}},
		{name: "PartsExcused", promises: named("Quarter"), passes: true,
			deviations: []suite.Deviation{{Promise: "Quarter", Part: "first", Because: why}, {Promise: "Quarter", Part: "second/deep", Because: why}}},
		{name: "PanicIsNotExcused", promises: named("Panics"), says: "a panic or a data race is not excused",
			deviations: []suite.Deviation{{Promise: "Panics", Because: why}}},
		{name: "PanicBesideIsNotExcused", promises: named("PanicsBeside"), says: "a panic or a data race is not excused",
			deviations: []suite.Deviation{{Promise: "PanicsBeside", Because: why}}},
		{name: "HangIsExcused", promises: named("Hangs"), passes: true,
			deviations: []suite.Deviation{{Promise: "Hangs", Part: "for ever", Because: why}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if os.Getenv(plantedEnv) != "" {
				suite.Run(t, test.promises, test.deviations)
				return
			}
			t.Parallel()
			passed, out := suite.Rerun(t, plantedEnv+"=1", leak.PatienceEnv+"=1s")
			if passed != test.passes || !strings.Contains(out, test.says) {
				t.Errorf("the suite passes: %t, want %t and %q\n%s", passed, test.passes, test.says, out)
			}
		})
	}
}

// A promise that hangs fails with the stacks of its goroutines. Promises after it are
// tested, but not for leaks, which might be its own.
func TestHang(t *testing.T) {
	if os.Getenv(plantedEnv) != "" {
		suite.Run(t, named("Kept", "Broken", "Hangs", "Leaks", "Waits", "WaitsAndHangs", "WaitsAndLeaks"), nil)
		return
	}
	t.Parallel()
	passed, out := suite.Rerun(t, plantedEnv+"=1", suite.SoonEnv+"=1s", leak.PatienceEnv+"=1s")
	if got, want := suite.Failed[string](t, out), []string{"Broken", "Hangs", "WaitsAndHangs", "WaitsAndLeaks"}; passed || !slices.Equal(got, want) {
		t.Errorf("the suite fails %q, want %q\n%s", got, want, out)
	}
	for _, want := range []string{"promise Hangs hangs", "suite_test.sleepForEver", "--- PASS: TestHang/Leaks", "--- PASS: TestHang/Waits"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q\n%s", want, out)
		}
	}
}

// TestApart expects tests to run in processes of their own, and to fail if they fail there.
func TestApart(t *testing.T) {
	const parentEnv = "BACKDIAL_SUITE_PARENT"
	if os.Getenv(plantedEnv) == "" {
		t.Parallel()
		passed, out := suite.Rerun(t, plantedEnv+"=1")
		if got, want := suite.Failed[string](t, out), []string{"Broken"}; passed || !slices.Equal(got, want) {
			t.Errorf("the tests fail %q, want %q\n%s", got, want, out)
		}
		if !strings.Contains(out, "in another process") {
			t.Errorf("the failure does not come from another process\n%s", out)
		}
		return
	}
	if os.Getenv(parentEnv) == "" {
		os.Setenv(parentEnv, strconv.Itoa(os.Getpid()))
	}
	for _, name := range []string{"Kept", "Broken"} {
		t.Run(name, func(t *testing.T) {
			suite.Apart(t, func(t *testing.T) {
				where := "in the same process"
				if os.Getenv(parentEnv) != strconv.Itoa(os.Getpid()) {
					where = "in another process"
				}
				if name == "Broken" {
					t.Error("broken", where)
				}
			})
		})
	}
}

// TestExpectBroken uses suites with a promise that needs more time than it gets at first.
func TestExpectBroken(t *testing.T) {
	const first = time.Second
	late := func(t *testing.T, env ...string) (bool, string) {
		out := "--- FAIL: " + t.Name() + "/Broken (1s)\n"
		if slices.Contains(env, suite.SoonEnv+"="+first.String()) {
			out += "--- FAIL: " + t.Name() + "/Late (1s)\n"
		}
		return false, out
	}
	kept := func(*testing.T, ...string) (bool, string) { return true, "" }
	cases := []struct {
		name  string
		want  []string
		suite func(*testing.T, ...string) (bool, string)
	}{
		{"found late", []string{"Broken"}, late},
		{"sound", nil, kept},
		{"missed", []string{"Broken"}, kept},
		{"another", []string{"Another"}, late},
		{"fails", nil, func(*testing.T, ...string) (bool, string) { return false, "" }},
	}
	if os.Getenv(plantedEnv) != "" {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				suite.ExpectBroken(t, c.want, first, func(env ...string) (bool, string) { return c.suite(t, env...) })
			})
		}
		return
	}
	t.Parallel()
	_, out := suite.Rerun(t, plantedEnv+"=1")
	if got, want := suite.Failed[string](t, out), []string{"another", "fails", "missed"}; !slices.Equal(got, want) {
		t.Errorf("%q fail, want %q\n%s", got, want, out)
	}
}
