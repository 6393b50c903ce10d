package natsregistry_test

import (
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/clustertest"
)

// TestContract makes an engine for each promise.
func TestContract(t *testing.T) {
	engines := make(map[*testing.T]*engine)
	of := func(t *testing.T) *engine {
		if engines[t] == nil {
			engines[t] = newEngine(t)
		}
		return engines[t]
	}
	clustertest.Test(t, clustertest.Target{
		Open:   func(t *testing.T) cluster.Registry { return of(t).connect(t) },
		Outage: func(t *testing.T) (restore func()) { return of(t).down(t) },
		Freeze: func(t *testing.T) (thaw func()) { return of(t).freeze() },
	})
}
