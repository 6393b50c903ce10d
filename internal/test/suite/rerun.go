package suite

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// deviantEnv makes Run test what deviations excuse.
const deviantEnv = "BACKDIAL_SUITE_DEVIANT"

// isDeviant reports whether this process tests what a deviation excuses.
func isDeviant() bool { return os.Getenv(deviantEnv) != "" }

// Rerun runs the test of t again, alone, in a process of its own with env added to its
// environment. It returns whether the test passed, and its output.
func Rerun(t *testing.T, env ...string) (passed bool, output string) {
	t.Helper()
	return RerunPart(t, "", env...)
}

// RerunPart is [Rerun] for one subtest of t. "" means all of t.
func RerunPart(t *testing.T, part string, env ...string) (passed bool, output string) {
	t.Helper()
	passed, _, output = rerun(t, joined(t.Name(), part), "", env...)
	return passed, output
}

// joined returns the name of a part of a test, as the testing package writes it.
func joined(name, part string) string {
	if part == "" {
		return name
	}
	return name + "/" + strings.ReplaceAll(part, " ", "_")
}

// rerun runs the test called name, without the subtests that match skip. It also returns
// the exit code of the process.
func rerun(t *testing.T, name, skip string, env ...string) (passed bool, code int, output string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", pattern(name), "-test.skip", skip, "-test.v", "-test.timeout", "10m")
	cmd.Env = append(append(os.Environ(), RaceEnv()), env...)
	out, err := cmd.CombinedOutput()
	return err == nil, cmd.ProcessState.ExitCode(), string(out)
}

// RaceEnv returns an environment variable that makes a process under the race detector end as
// soon as it is done. Otherwise it waits a second for races of goroutines that are left.
func RaceEnv() string {
	options := os.Getenv("GORACE")
	if strings.Contains(options, "atexit_sleep_ms") {
		return "GORACE=" + options
	}
	return "GORACE=" + strings.TrimSpace(options+" atexit_sleep_ms=50")
}

// Failed returns, in order, the promises that failed according to the output of a [Rerun]
// of t. They are subtests of t.
func Failed[P ~string](t *testing.T, output string) []P {
	var failed []P
	for _, line := range []string{
		`(?m)^ *--- FAIL: ` + regexp.QuoteMeta(t.Name()) + `/([^/ ]+) `,
		`(?m)` + hangs(`(\w+)`),
	} {
		for _, m := range regexp.MustCompile(line).FindAllStringSubmatch(output, -1) {
			failed = append(failed, P(m[1]))
		}
	}
	slices.Sort(failed)
	return slices.Compact(failed)
}

// ExpectBroken runs a suite of t with a planted fault, by rerun, and expects the promises in
// want to fail, and no others. It returns the output. What would block for ever fails after
// soon. If other promises fail than expected, the machine may be too slow for soon, and
// ExpectBroken tries again with more time.
func ExpectBroken[P ~string](t *testing.T, want []P, soon time.Duration, rerun func(env ...string) (passed bool, output string)) (output string) {
	t.Helper()
	var passed bool
	var got []P
	for _, soon := range []time.Duration{soon, max(2*soon, Soon())} {
		passed, output = rerun(SoonEnv + "=" + soon.String())
		got = Failed[P](t, output)
		if slices.Equal(got, slices.Sorted(slices.Values(want))) && passed == (len(want) == 0) {
			return output
		}
	}
	t.Errorf("the suite passes: %t, and fails %q, want %q\n%s", passed, got, want, output)
	return output
}

// pattern returns the -test.run pattern that matches only the test called name.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}
