package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/ctxerr"
)

// Wait waits until a client is connected, to any replica. If ctx ends first, the error matches
// ctx's, and that of [Cluster.Dial]. While the registry is unavailable, Wait returns only for
// clients of this process.
func (c *Cluster) Wait(ctx context.Context, id string) error {
	if err := fleet.CheckID(id); err != nil {
		return fmt.Errorf("cluster: wait for %w", err)
	}
	signs, stop := c.signs(ctx, id)
	defer stop()
	var why error
	for {
		err := c.find(ctx, id)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || why == nil { // otherwise err may say no more than that
			why = err
		}
		if ended := signs.next(ctx); ended != nil {
			return fmt.Errorf("cluster: wait for client %q: %w: %w", id, ended, why)
		}
	}
}

// find returns nil if a client is connected.
func (c *Cluster) find(ctx context.Context, id string) error {
	if c.clients != nil {
		if _, ok := c.clients.Lookup(id); ok {
			return nil
		}
	}
	claim, err := c.registry.Locate(ctx, id)
	if err == nil {
		c.remember(id, claim.Node)
	}
	return err
}

// remember makes Dial ask a node first for a client, unless the node is this one.
func (c *Cluster) remember(id string, node Node) {
	if node.Run != c.self.Run {
		c.owners.set(id, node)
	}
}

// pollInterval is how often to look for a client without news of it: the registry may have
// lost some.
const pollInterval = time.Second

// Signs tell that it makes sense to look for a client again.
type signs struct {
	cluster *Cluster
	id      string
	here    chan struct{} // closed when it is connected here; nil for a service
	claims  <-chan Claim  // nil if the registry cannot tell
}

// signs returns the signs of a client, until stop is called or ctx ends.
func (c *Cluster) signs(ctx context.Context, id string) (a *signs, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	a = &signs{cluster: c, id: id}
	a.claims, _ = c.registry.Watch(ctx, id)
	if c.clients == nil {
		return a, cancel
	}
	a.here = make(chan struct{})
	waited := make(chan struct{})
	go func() { // until stop
		defer close(waited)
		if _, err := c.clients.Wait(ctx, id); err == nil {
			close(a.here)
		}
	}()
	return a, func() {
		cancel()
		<-waited
	}
}

// next waits until there is a reason to look again. Its error is why there will be none.
func (a *signs) next(ctx context.Context) error {
	poll := time.NewTimer(pollInterval)
	defer poll.Stop()
	select {
	case <-a.here:
		a.here = nil // if it is gone again, polling finds it
	case claim, more := <-a.claims:
		if !more { // the registry sends no more
			a.claims = nil
			break
		}
		a.cluster.remember(a.id, claim.Node)
	case <-poll.C:
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	case <-a.cluster.ctx.Done():
		return errClosed
	}
	return nil
}
