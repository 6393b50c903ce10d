package clustertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/backdial/backdial/cluster"
)

func carriesMany(t *testing.T, target Target) {
	const clients, goroutines = 10_000, 100
	a, outside := join(t, target, "a"), target.Open(t)
	before := runtime.NumGoroutine()
	base := fresh("client")
	var claims []cluster.Claim
	for i := range clients {
		claims = append(claims, a.attach(fmt.Sprint(base, i)))
	}
	for i := 0; i < clients; i += clients / 10 {
		awaitClaim(t, outside, claims[i])
	}
	awaitClaim(t, outside, claims[clients-1])
	if now := runtime.NumGoroutine(); now > before+goroutines {
		t.Errorf("%d clients cost %d goroutines", clients, now-before)
	}
	a.Close()
	for i := 0; i < clients; i += clients / 10 {
		awaitNobody(t, outside, claims[i].ID)
	}
}

func servesConcurrently(t *testing.T, target Target) {
	const workers, rounds = 8, 50
	replicas := []*replica{join(t, target, "a"), join(t, target, "b")}
	base := fresh("busy")
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range rounds {
				id, r := fmt.Sprint(base, i%5), replicas[(w+i)%2]
				ctx, cancel := context.WithCancel(t.Context())
				if _, err := r.Watch(ctx, id); err != nil {
					t.Errorf("Watch: %v", err)
				}
				r.attach(id)
				c, err := r.Locate(t.Context(), id)
				if err == nil && c.ID != id || err != nil && !errors.Is(err, cluster.ErrNotConnected) {
					t.Errorf("Locate returned %+v, %v", c, err)
				}
				r.detach(id)
				cancel()
			}
		})
	}
	all.Wait()
	for i := range 5 {
		id := fmt.Sprint(base, i)
		awaitClaim(t, replicas[1], replicas[0].attach(id))
		replicas[0].detach(id)
		awaitNobody(t, replicas[1], id)
	}
}
