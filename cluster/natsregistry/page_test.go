package natsregistry_test

import (
	"testing"

	"github.com/backdial/backdial/backdialtest"
)

// TestPage runs the NATS server of docs/cluster.md, which knows replicas and services by the names
// in their certificates, and nobody else.
func TestPage(t *testing.T) {
	backdialtest.CheckLeaks(t)
	ca := backdialtest.NewCA(t)
	url := pageServer(t, ca)
	first, second := connected(t, url, certified(t, ca, "replica-1")...), connected(t, url, certified(t, ca, "replica-2")...)
	a := join(t, first)
	a.attach("client", 1)
	found(t, second, "client0", a)
	for _, name := range []string{"replica-3", "nats-1"} {
		if r := connect(t, url, certified(t, ca, name)...); r.Connected() {
			t.Errorf("%s is let in, which is no user", name)
		}
	}
}
