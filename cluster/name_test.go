package cluster_test

import (
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/internal/test/testlog"
)

// In TestWrongName a replica learns that its certificate has another's name. Otherwise only
// the replicas that dial it would see that.
func TestWrongName(t *testing.T) {
	ca := testcert.NewCA(t)
	for name, want := range map[string]bool{"a": false, "b": true} {
		var log testlog.Log
		c, err := cluster.New(fleet.New(fleet.ByHeader("DeviceId")), cluster.WithRegistry(cluster.NewLocal()),
			cluster.WithTLSConfig(ca.Mutual(t, "a")), cluster.WithNode(name, "https://127.0.0.1:1"), cluster.WithLogger(log.Logger()))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if got := log.Has("not accept this replica's certificate"); got != want {
			t.Errorf("%s: complains: %t, want %t", name, got, want)
		}
	}
}
