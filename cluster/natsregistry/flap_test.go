package natsregistry_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
)

// In TestFlapping many clients come and go while the connection to the engine is cut again and
// again. In the end the registry finds the clients that stay, and no others.
func TestFlapping(t *testing.T) {
	backdialtest.CheckLeaks(t)
	const clients, others = 2000, 3 // two inboxes, and what is for the replica itself
	// The engine itself has to notice a connection that it does not see end.
	e := newEngineOf(t, server.Options{PingInterval: time.Second})
	own := e.NumSubscriptions()
	var back atomic.Int32
	r := connected(t, e.url(), nats.ReconnectHandler(func(*nats.Conn) { back.Add(1) }))
	outside := connected(t, "nats://"+e.Addr().String())
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
	for range 3 {
		for _, cut := range []backdialtest.Cut{backdialtest.Reset, backdialtest.Finish, backdialtest.ResetClient} {
			before := back.Load()
			e.network.Cut(cut)
			// Connected alone may be from before the cut.
			backdialtest.Until(t, "another connection", func() bool { return back.Load() > before && r.Connected() })
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
