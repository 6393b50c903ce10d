// Package clustertest is the contract of registries, executed. A registry's test is one
// call:
//
//	func TestContract(t *testing.T) {
//		local := cluster.NewLocal()
//		clustertest.Test(t, clustertest.Target{
//			Open: func(*testing.T) cluster.Registry { return local },
//		})
//	}
//
// Every [Promise] is a subtest of its name.
package clustertest

import (
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/suite"
)

// A Target is a registry, and what can be done to its engine.
type Target struct {
	// Open returns what another replica has of the same registry, of which all share an
	// engine. What is to be closed is closed by t's Cleanup.
	Open func(t *testing.T) cluster.Registry

	// Outage has the engine be away, and every registry that is open know that, when it
	// returns. restore brings it back, with nothing in it. Nil if the engine cannot be
	// away.
	Outage func(t *testing.T) (restore func())

	// Freeze has the engine not answer, before anybody has noticed. thaw ends that. Nil
	// if that cannot be.
	Freeze func(t *testing.T) (thaw func())
}

// A Deviation says that a registry does not keep a promise, and why. It has to be true:
// if the promise is kept after all, the suite fails. A registry that stores claims, and
// cannot ask holders, does not keep [AsksHolder] and [AvoidsDoubtful], for instance: it
// costs tries.
type Deviation struct {
	Promise Promise

	// Part is the name of the subtest of the promise that fails. "" means that the promise
	// fails before any of its parts, or has none.
	Part string

	// Because is for the reader of the registry's documentation.
	Because string
}

// Test runs a subtest for every promise of the contract. Those that deviations excuse are
// expected to fail, and skipped if they do.
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
