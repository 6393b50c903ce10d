package clustertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

// outage takes the engine away, if it can be.
func outage(t *testing.T, target Target) (restore func()) {
	t.Helper()
	if target.Outage == nil {
		t.Skip("there is no engine that could be away")
	}
	restored := false
	back := target.Outage(t)
	restore = func() {
		if !restored {
			restored = true
			back()
		}
	}
	t.Cleanup(restore)
	return restore
}

func saysUnavailable(t *testing.T, target Target) {
	a, outside := join(t, target, "a"), target.Open(t)
	held := a.attach(fresh("held"))
	awaitClaim(t, outside, held)
	outage(t, target)
	for _, id := range []string{held.ID, fresh("nobodys")} {
		if _, err := within(t, outside, t.Context(), id); !errors.Is(err, cluster.ErrUnavailable) || errors.Is(err, cluster.ErrNotConnected) {
			t.Errorf("Locate returned %v while the engine is away, want ErrUnavailable", err)
		}
	}
	began := time.Now()
	if _, err := outside.Watch(t.Context(), held.ID); err != nil {
		t.Errorf("Watch: %v", err)
	}
	m, err := outside.Join(cluster.Node{Name: "b", Run: fresh("b"), URL: "wss://b.example"}, a)
	if err != nil {
		t.Fatalf("Join: %v", err)
	}
	m.Attach(held)
	m.Detach(held.ID)
	m.Close()
	if took := time.Since(began); took > atOnce {
		t.Errorf("Watch, Join and what a member does took %v", took)
	}
}

func outlivesOutage(t *testing.T, target Target) {
	a, b, outside := join(t, target, "a"), join(t, target, "b"), target.Open(t)
	first, second := a.attach(fresh("first")), b.attach(fresh("second"))
	awaitClaim(t, outside, first)
	awaitClaim(t, outside, second)
	for range 2 {
		restore := outage(t, target)
		restore()
		awaitClaim(t, outside, first)
		awaitClaim(t, outside, second)
		awaitNobody(t, outside, fresh("nobodys"))
	}
}

func catchesUp(t *testing.T, target Target) {
	a, b, outside := join(t, target, "a"), join(t, target, "b"), target.Open(t)
	leaves, comes, moves := fresh("leaving"), fresh("coming"), fresh("moving")
	awaitClaim(t, outside, a.attach(leaves))
	awaitClaim(t, outside, a.attach(moves))
	watched, err := outside.Watch(t.Context(), moves)
	if err != nil {
		t.Fatal(err)
	}
	restore := outage(t, target)
	a.detach(leaves)
	came, moved := b.attach(comes), b.attach(moves)
	later, err := outside.Watch(t.Context(), comes)
	if err != nil {
		t.Fatal(err)
	}
	restore()
	awaitTold(t, "a watcher that came during the outage", later, came)
	awaitTold(t, "the holder that was there before the outage", a.rivals, moved)
	a.detach(moves) // otherwise the watcher may hear of it
	awaitClaim(t, outside, came)
	awaitClaim(t, outside, moved)
	awaitNobody(t, outside, leaves)
	awaitTold(t, "a watcher that came before the outage", watched, moved)
}

func endsFrozen(t *testing.T, target Target) {
	if target.Freeze == nil {
		t.Skip("there is no engine that could not answer")
	}
	a, outside := join(t, target, "a"), target.Open(t)
	held := a.attach(fresh("held"))
	awaitClaim(t, outside, held)
	t.Cleanup(target.Freeze(t))
	ctx, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	if _, err := within(t, outside, ctx, held.ID); !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Locate returned %v, want ErrUnavailable and context.DeadlineExceeded", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := outside.Locate(t.Context(), held.ID)
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, cluster.ErrUnavailable) || errors.Is(err, cluster.ErrNotConnected) {
			t.Errorf("Locate returned %v, want ErrUnavailable", err)
		}
	case <-time.After(patience):
		t.Errorf("Locate has not ended after %v", patience)
	}
}
