// Package clustertest is the contract of registries as a test. A registry's test is one call:
//
//	func TestContract(t *testing.T) {
//		local := cluster.NewLocal()
//		clustertest.Test(t, clustertest.Target{
//			Open: func(*testing.T) cluster.Registry { return local },
//		})
//	}
//
// Every [Promise] is a subtest with its name.
package clustertest

import (
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/suite"
)

// A Target is a registry, and what a test can do to its engine.
type Target struct {
	// Open returns the registry as another replica has it; all of them share an engine. If it
	// has to be closed, t's Cleanup closes it.
	Open func(t *testing.T) cluster.Registry

	// Outage takes the engine away, and returns when every open registry knows that. restore
	// brings it back, with nothing in it. Nil if the engine cannot be away.
	Outage func(t *testing.T) (restore func())

	// Freeze makes the engine stop answering, before anything notices. thaw ends that. Nil if
	// that is impossible.
	Freeze func(t *testing.T) (thaw func())
}

// A Deviation says that a registry does not keep a promise, and why. It has to be true: if the
// registry keeps the promise after all, the suite fails. A registry that stores claims, and
// cannot ask holders, does not keep [AsksHolder] and [AvoidsDoubtful], for instance: that
// costs tries.
type Deviation struct {
	Promise Promise

	// Part is the name of the subtest of the promise that fails. "" means that the promise
	// fails before any of its parts, or has none.
	Part string

	// Because is for readers of the registry's documentation.
	Because string
}

// Test runs a subtest for every promise of the contract. A promise that a deviation
// excuses is expected to fail, and is skipped when it does.
func Test(t *testing.T, target Target, deviations ...Deviation) {
	t.Helper()
	promises := make([]suite.Promise, len(contract))
	for i, p := range contract {
		promises[i] = suite.Promise{Name: string(p.name), Test: func(t *testing.T) { p.test(t, target) }}
	}
	excused := make([]suite.Deviation, len(deviations))
	for i, d := range deviations {
		excused[i] = suite.Deviation{Promise: string(d.Promise), Part: d.Part, Because: d.Because}
	}
	suite.Run(t, promises, excused)
}
