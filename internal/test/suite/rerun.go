package suite

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// deviantEnv makes Run test what deviations excuse.
const deviantEnv = "BACKDIAL_SUITE_DEVIANT"

// isDeviant reports whether this process tests what a deviation excuses.
func isDeviant() bool { return os.Getenv(deviantEnv) != "" }

// Rerun runs the test of t again, alone, in a process of its own with env added to its
// environment. It returns whether the test passed, and its output.
func Rerun(t *testing.T, env ...string) (passed bool, output string) {
	t.Helper()
	passed, _, output = rerun(t, t.Name(), "", env...)
	return passed, output
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

// pattern returns the -test.run pattern that matches only the test called name.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}
