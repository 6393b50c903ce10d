package suite

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Deviation says that an implementation breaks a promise or a part of one, and why. It
// must be true: if the implementation does keep the promise, the suite fails. It excuses
// nothing else: the other parts of the promise must pass.
type Deviation struct {
	// Promise is the name of the subtest.
	Promise string

	// Part is the name of the failing subtest of the promise. "" means that the promise
	// fails before any of its parts, or has none.
	Part string

	// Because is the reason, for the implementation's documentation.
	Because string
}

// String is the name of what d excuses, as the testing package writes it.
func (d Deviation) String() string {
	return joined(d.Promise, d.Part)
}

func checkDeviations(t *testing.T, promises []Promise, deviations []Deviation) {
	t.Helper()
	for _, d := range deviations {
		known := func(p Promise) bool { return p.Name == d.Promise }
		if !slices.ContainsFunc(promises, known) {
			t.Errorf("deviation from %q, which is not a promise", d.Promise)
		}
		if d.Because == "" {
			t.Errorf("deviation from %q without a reason", d)
		}
	}
}

// expectFailures runs the promise that t tests in processes of its own, because a failing
// subtest would fail t too: one process for each deviation, which must fail, and one for
// the other parts, which must pass.
func expectFailures(t *testing.T, deviations []Deviation) {
	t.Helper()
	suite := strings.TrimSuffix(t.Name(), "/"+deviations[0].Promise)
	failures := make([]string, len(deviations))
	var wg sync.WaitGroup
	for i, d := range deviations {
		wg.Go(func() { failures[i] = deviant{suite, d}.check(t) })
	}
	var others []string
	for _, d := range deviations {
		if d.Part != "" {
			others = append(others, pattern(suite+"/"+d.String()))
		}
	}
	if len(others) == len(deviations) { // otherwise no part is reached
		passed, _, out := rerun(t, t.Name(), strings.Join(others, "|"), deviantEnv+"=1")
		if !passed {
			t.Errorf("other parts than %q fail\n%s", deviations, out)
		}
	}
	wg.Wait()
	for i, d := range deviations {
		if failures[i] != "" {
			t.Error(failures[i])
		} else {
			t.Logf("deviation from %s: %s", d, d.Because)
		}
	}
	if !t.Failed() {
		t.Skipf("deviation: %s", deviations[0].Because)
	}
}

// A deviant is a deviation of an implementation in the test named suite.
type deviant struct {
	suite string
	Deviation
}

// check expects the failure of d, and returns what is wrong if something else happens.
func (d deviant) check(t *testing.T) string {
	name := d.suite + "/" + d.String()
	passed, code, out := rerun(t, name, "", deviantEnv+"=1", SoonEnv+"=3s")
	switch {
	case !ran(name, out):
		return "deviation from " + d.String() + ", which is no part of the promise\n" + out
	case passed:
		return "stale deviation: the promise is kept, although \"" + d.Because + "\"\n" + out
	case code != failedTest || strings.Contains(out, "DATA RACE"):
		return "deviation from " + d.String() + ": a panic or a data race is not excused\n" + out
	case !failed(name, out) && !strings.Contains(out, hangs(d.Promise)):
		return "deviation from " + d.String() + ": another failure\n" + out
	}
	if parts := d.failedParts(out); d.Part == "" && len(parts) > 0 {
		return "deviation from " + d.String() + " does not say which part: " + strings.Join(parts, ", ") + "\n" + out
	}
	return ""
}

// failedTest is the exit code of a test that fails. A panic has another one.
const failedTest = 1

// ran reports whether the test called name has run, according to output.
func ran(name, output string) bool {
	return regexp.MustCompile(`(?m)^=== RUN +` + regexp.QuoteMeta(name) + `$`).MatchString(output)
}

// failed reports whether the test called name has failed, according to output.
func failed(name, output string) bool {
	return regexp.MustCompile(`(?m)^ *--- FAIL: ` + regexp.QuoteMeta(name) + ` `).MatchString(output)
}

// failedParts returns the parts of the promise that have failed, according to output.
func (d deviant) failedParts(output string) (parts []string) {
	line := regexp.MustCompile(`(?m)^ *--- FAIL: ` + regexp.QuoteMeta(d.suite+"/"+d.Promise) + `/(\S+) `)
	for _, m := range line.FindAllStringSubmatch(output, -1) {
		parts = append(parts, m[1])
	}
	return parts
}
