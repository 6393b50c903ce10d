package clustertest_test

import (
	"testing"

	"github.com/backdial/backdial/cluster"
	. "github.com/backdial/backdial/cluster/clustertest"
)

func TestLocal(t *testing.T) {
	local := cluster.NewLocal()
	Test(t, Target{Open: func(*testing.T) cluster.Registry { return local }})
}
