package cluster_test

import (
	"testing"

	"github.com/backdial/backdial/internal/test/testcert"
)

// In TestSharedRegistry two clusters share a registry by mistake, with clients of the same
// IDs. Each reaches its own.
func TestSharedRegistry(t *testing.T) {
	one := newSite(t)
	two := &site{testcert.NewCA(t), one.registry}
	for _, s := range []struct {
		*site
		name string
	}{{one, "one"}, {two, "two"}} {
		s.replica(t, "a").connect(t, "x", s.name)
	}
	for range 3 {
		reaches(t, one.service(t, "s"), "x", "one")
		reaches(t, two.service(t, "s"), "x", "two")
		reaches(t, one.replica(t, "b").Cluster, "x", "one")
		reaches(t, two.replica(t, "b").Cluster, "x", "two")
	}
}
