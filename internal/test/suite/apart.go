package suite

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// apartEnv names the test that a process is for.
const apartEnv = "BACKDIAL_SUITE_APART"

// Apart runs test as t in a process of its own, beside others: see [Main]. It is for a contract,
// whose tests mostly wait, and which could not tell its own leaks from those of a test beside it.
// Call it before anything is started.
func Apart(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv(apartEnv) == t.Name() {
		test(t)
		return
	}
	t.Parallel()
	passed, out := Rerun(t, apartEnv+"="+t.Name())
	if !passed {
		t.Error(out)
	} else if testing.Verbose() {
		t.Log(out)
	}
}

// Main runs the tests of a package some of which run in processes of their own, with
// so many of these at a time. It returns what [os.Exit] needs.
func Main(m *testing.M, processes int) (code int) {
	flag.Parse()
	flag.Set("test.parallel", strconv.Itoa(processes))
	return m.Run()
}
