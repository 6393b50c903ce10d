package natsregistry_test

import (
	"testing"

	"github.com/backdial/backdial/backdialtest"
)

// TestReadme has the README's NATS server, which knows replicas and services by the names
// in their certificates, and nobody else.
func TestReadme(t *testing.T) {
	backdialtest.CheckLeaks(t)
	ca := backdialtest.NewCA(t)
	url := readmeServer(t, ca)
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
