package natsregistry_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
)

// TestFlapping has many clients come and go while the connection to the engine is cut
// again and again. In the end those that stay are found, and nothing is left of others.
func TestFlapping(t *testing.T) {
	backdialtest.CheckLeaks(t)
	const clients, others = 2000, 3 // two inboxes, and what is for the replica itself
	e := newEngine(t)
	own := e.NumSubscriptions()
	r, outside := e.connect(t), connected(t, "nats://"+e.Addr().String())
	a := join(t, r)
	enough := make(chan bool)
	var coming sync.WaitGroup
	for part := range 4 {
		coming.Go(func() {
			for last := false; !last; {
				select {
				case <-enough:
					last = true
				default:
				}
				for i := part; i < clients; i += 4 {
					id := fmt.Sprint("client", i)
					a.Attach(cluster.Claim{ID: id, Node: a.node})
					if i%2 == 0 {
						a.Detach(id)
					}
				}
			}
		})
	}
	for range 10 {
		for _, cut := range []backdialtest.Cut{backdialtest.Reset, backdialtest.Finish, backdialtest.ResetClient} {
			e.network.Cut(cut)
			backdialtest.Until(t, "Connected", r.Connected)
		}
	}
	close(enough)
	coming.Wait()
	backdialtest.Until(t, "what is left", func() bool { return e.NumSubscriptions() == own+clients/2+others })
	for i := range 10 {
		if id := fmt.Sprint("client", i); i%2 == 0 {
			nobody(t, outside, id)
		} else if c, err := outside.Locate(t.Context(), id); err != nil || c.Node.Run != a.node.Run {
			t.Errorf("Locate of %s returned %+v, %v", id, c, err)
		}
	}
}
