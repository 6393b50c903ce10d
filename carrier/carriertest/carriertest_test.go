package carriertest_test

import (
	"os"
	"slices"
	"testing"
	"time"

	. "github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
)

// plantedEnv makes TestFaults run the suite, and fail, in a process of its own.
const plantedEnv = "BACKDIAL_CARRIERTEST_PLANTED"

// soon shortens the time for which something blocks that would block forever: many faults do that.
const soon = 8 * time.Second

func TestMain(m *testing.M) { os.Exit(suite.Main(m, 16)) }

func TestFaults(t *testing.T) {
	long.Only(t)
	for _, f := range slices.Concat(faults, tlsFaults, handshakeFaults, connFaults, arriveFaults, endpointFaults, streamFaults) {
		t.Run(f.name, func(t *testing.T) {
			if os.Getenv(plantedEnv) != "" {
				Test(t, f.target)
				return
			}
			t.Parallel() // with other processes, which do all the work
			suite.ExpectBroken(t, f.breaks, soon, func(env ...string) (bool, string) {
				return suite.Rerun(t, append(env, plantedEnv+"=1")...)
			})
		})
	}
}

func TestDeviation(t *testing.T) {
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == "OfferTakesAll" })
	Test(t, faults[i].target, Deviation{Promise: IgnoresOthers, Because: "a fault is planted"})
}
