package clustertest

import (
	"context"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

func tellsRival(t *testing.T, target Target) {
	a, b := join(t, target, "a"), join(t, target, "b")
	id := fresh("rivals")
	awaitClaim(t, b, a.attach(id))
	second := b.attach(id)
	awaitTold(t, "the holder that was there before", a.rivals, second)
}

// tellsNotOneself listens until something has come that was sent later.
func tellsNotOneself(t *testing.T, target Target) {
	a, b := join(t, target, "a"), join(t, target, "b")
	left, last := fresh("left"), fresh("last")
	for _, id := range []string{left, last} {
		awaitClaim(t, b, a.attach(id))
		awaitClaim(t, b, a.attach(id))
	}
	a.detach(left)
	awaitNobody(t, b, left)
	for _, id := range []string{left, fresh("another")} {
		awaitClaim(t, a, b.attach(id))
	}
	awaitTold(t, "a holder", a.rivals, b.attach(last))
	for {
		select {
		case c := <-a.rivals:
			if c.ID != last || c.Node.Run == a.node.Run {
				t.Errorf("a holder was told of %+v", c)
			}
		case c := <-b.rivals:
			if c.Node.Run == b.node.Run {
				t.Errorf("a holder was told of itself: %+v", c)
			}
		case <-time.After(quiet):
			return
		}
	}
}

func tellsRivalAgain(t *testing.T, target Target) {
	a, b, outside := join(t, target, "a"), join(t, target, "b"), target.Open(t)
	id := fresh("coming-again")
	awaitClaim(t, b, a.attach(id))
	awaitTold(t, "the holder that was there before", a.rivals, b.attach(id))
	watched, err := outside.Watch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	again := b.hold(id, -time.Hour, false) // differs from all other claims
	b.Attach(again)
	awaitTold(t, "the holder that was there before", a.rivals, again)
	awaitTold(t, "a watcher", watched, again)
}

func watchTells(t *testing.T, target Target) {
	a, b, outside := join(t, target, "a"), join(t, target, "b"), target.Open(t)
	id := fresh("watched")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, by := range []cluster.Registry{outside, a, b, outside} {
		watched, err := by.Watch(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []*replica{a, b} {
			by.attach(id + "'s neighbour")
			awaitTold(t, "a watcher", watched, by.attach(id))
		}
	}
}

func watchKeepsLatest(t *testing.T, target Target) {
	a, outside := join(t, target, "a"), target.Open(t)
	id := fresh("watched")
	slow, err := outside.Watch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	fast, err := outside.Watch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var last cluster.Claim
	for i := range 10 {
		last = a.hold(id, -time.Duration(i)*time.Hour, false)
		a.Attach(last)
		awaitTold(t, "a watcher", fast, last)
		<-time.After(poll) // lets all claims reach the slow watcher
	}
	awaitTold(t, "a watcher that is slow", slow, last)
}
