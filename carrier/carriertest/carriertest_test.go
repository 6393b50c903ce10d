package carriertest_test

import (
	"flag"
	"os"
	"slices"
	"testing"

	. "github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
)

// plantedEnv makes TestFaults run the suite, and fail, in a process of its own.
const plantedEnv = "BACKDIAL_CARRIERTEST_PLANTED"

// children is how many processes run at a time. They mostly wait.
const children = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", children)
	os.Exit(m.Run())
}

func TestFaults(t *testing.T) {
	long.Only(t)
	for _, f := range slices.Concat(faults, tlsFaults, handshakeFaults, connFaults, arriveFaults, endpointFaults, streamFaults) {
		t.Run(f.name, func(t *testing.T) {
			if os.Getenv(plantedEnv) != "" {
				Test(t, f.target)
				return
			}
			t.Parallel() // with other processes, which do all the work
			passed, out := suite.Rerun(t, plantedEnv+"=1")
			if passed {
				t.Fatalf("the suite does not notice\n%s", out)
			}
			if got, want := suite.Failed[Promise](t, out), slices.Sorted(slices.Values(f.breaks)); !slices.Equal(got, want) {
				t.Errorf("the suite fails %q, want %q\n%s", got, want, out)
			}
		})
	}
}

func TestDeviation(t *testing.T) {
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == "OfferTakesAll" })
	Test(t, faults[i].target, Deviation{Promise: IgnoresOthers, Because: "a fault is planted"})
}
