package natsregistry_test

import (
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
)

// In TestDistant a near replica that cannot be reached claims a client, and so does one on
// another continent. A dial finds the distant one, however soon the near one has answered.
func TestDistant(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	direct := "nats://" + e.Addr().String()
	near, outside := join(t, connected(t, direct)), connected(t, direct)
	network := backdialtest.NewTCP(t, e.Addr().String(), 1)
	far := join(t, connected(t, "nats://"+network.Addr()))
	near.attach("client", 1)
	found(t, outside, "client0", near)
	far.attach("client", 1)
	backdialtest.Until(t, "a second claim", func() bool {
		c, err := outside.Locate(t.Context(), "client0", near.node.Run)
		return err == nil && c.Node.Run == far.node.Run
	})
	network.Set(backdialtest.Both(backdialtest.Way{Delay: 75 * time.Millisecond}))
	c, err := outside.Locate(t.Context(), "client0", near.node.Run)
	if err != nil || c.Node.Run != far.node.Run {
		t.Errorf("Locate returned %+v, %v; want the claim of the other", c, err)
	}
}
