package clustertest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

func findsHolder(t *testing.T, target Target) {
	a, b := join(t, target, "a"), join(t, target, "b")
	outside := target.Open(t)
	first, second := a.attach(fresh("first")), b.attach(fresh("second"))
	for _, by := range []cluster.Registry{a, b, outside} {
		awaitClaim(t, by, first)
		awaitClaim(t, by, second)
	}
}

func knowsNobody(t *testing.T, target Target) {
	a := join(t, target, "a")
	awaitClaim(t, target.Open(t), a.attach(fresh("another")))
	for _, by := range []cluster.Registry{a, target.Open(t)} {
		if _, err := within(t, by, t.Context(), fresh("nobodys")); !errors.Is(err, cluster.ErrNotConnected) || errors.Is(err, cluster.ErrUnavailable) {
			t.Errorf("Locate returned %v, want ErrNotConnected", err)
		}
	}
}

func takesAnyID(t *testing.T, target Target) {
	a, outside := join(t, target, "a"), target.Open(t)
	base := fresh("id")
	ids := []string{
		base, base + "x", base[:len(base)-1], // some are prefixes of others
		base + ".x", base + ".x.y", "x." + base, base + "..x", base + "~", base + "_", "-" + base, strings.ToLower(base),
		"-", "_", "~", "0",
		base + strings.Repeat("x", 128-len(base)),
		base + strings.Repeat(".", 127-len(base)) + "x",
	}
	held := make(map[string]cluster.Claim)
	for i, id := range ids {
		if i%2 == 0 {
			held[id] = a.attach(id)
		}
	}
	defer func() {
		for id := range held {
			a.detach(id)
		}
	}()
	for _, c := range held {
		awaitClaim(t, outside, c)
	}
	for i, id := range ids {
		if i%2 == 1 {
			awaitNobody(t, outside, id)
		}
	}
}

func refusesIDs(t *testing.T, target Target) {
	r := target.Open(t)
	for _, id := range []string{"", strings.Repeat("x", 129), "a b", ".x", "x.", "*", ">", "a/b", "ü", "\x00"} {
		_, err := within(t, r, t.Context(), id)
		if err == nil || errors.Is(err, cluster.ErrNotConnected) || errors.Is(err, cluster.ErrUnavailable) {
			t.Errorf("Locate of %q returned %v, want an error of its own", id, err)
		}
		if _, err := r.Watch(t.Context(), id); err == nil {
			t.Errorf("Watch takes %q", id)
		}
	}
}

func asksHolder(t *testing.T, target Target) {
	a, outside := join(t, target, "a"), target.Open(t)
	id := fresh("asked")
	awaitClaim(t, outside, a.attach(id))
	for since := range 3 {
		want := a.hold(id, time.Duration(since)*time.Hour, since == 1)
		got, err := outside.Locate(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := differ(got, want); err != nil {
			t.Error(err)
		}
	}
	a.drop(id)
	if _, err := within(t, outside, t.Context(), id); !errors.Is(err, cluster.ErrNotConnected) {
		t.Errorf("Locate returned %v although the holder says no, want ErrNotConnected", err)
	}
	awaitClaim(t, outside, a.hold(id, 0, false))
}

func skipsExcepted(t *testing.T, target Target) {
	a, b, outside := join(t, target, "a"), join(t, target, "b"), target.Open(t)
	id := fresh("both")
	first, second := a.attach(id), b.attach(id)
	awaitClaim(t, outside, first, b.node.Run)
	awaitClaim(t, outside, second, a.node.Run)
	got, err := outside.Locate(t.Context(), id, "no such run")
	if err != nil || got.Node.Run != a.node.Run && got.Node.Run != b.node.Run {
		t.Errorf("Locate returned %+v, %v; want either claim", got, err)
	}
	for _, by := range []cluster.Registry{a, b, outside} {
		if _, err := within(t, by, t.Context(), id, b.node.Run, a.node.Run); !errors.Is(err, cluster.ErrMoved) || errors.Is(err, cluster.ErrNotConnected) {
			t.Errorf("Locate returned %v with all excepted, want ErrMoved", err)
		}
	}
}

// avoidsDoubtful allows for an occasional late answer.
func avoidsDoubtful(t *testing.T, target Target) {
	const tries, most = 20, 18
	a, b, outside := join(t, target, "a"), join(t, target, "b"), target.Open(t)
	for _, doubts := range []*replica{a, b} {
		id := fresh("doubtful")
		a.attach(id)
		b.attach(id)
		want := map[*replica]cluster.Claim{a: a.hold(id, time.Hour, doubts == a), b: b.hold(id, 0, doubts == b)}
		for _, r := range []*replica{a, b} {
			other := map[*replica]*replica{a: b, b: a}[r]
			awaitClaim(t, outside, want[r], other.node.Run)
		}
		certain := 0
		for range tries {
			got, err := outside.Locate(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Doubtful {
				certain++
			}
		}
		if certain < most {
			t.Errorf("Locate found the claim that is not doubtful %d times of %d", certain, tries)
		}
		for _, r := range []*replica{a, b} {
			if r != doubts {
				r.detach(id)
			}
		}
		awaitClaim(t, outside, want[doubts])
	}
}

func forgetsDetached(t *testing.T, target Target) {
	a, b, outside := join(t, target, "a"), join(t, target, "b"), target.Open(t)
	id := fresh("moving")
	first := a.attach(id)
	stays := a.attach(fresh("staying"))
	awaitClaim(t, outside, first)
	a.Detach(id) // its holder would still claim it
	awaitNobody(t, outside, id)
	a.Detach(id)
	awaitClaim(t, outside, b.attach(id))
	a.attach(id)
	b.detach(id)
	a.detach(id)
	again := a.attach(id) // counts as the last of all these calls
	awaitClaim(t, outside, again)
	awaitClaim(t, outside, stays)
}

func forgetsClosed(t *testing.T, target Target) {
	a, b, outside := join(t, target, "a"), join(t, target, "b"), target.Open(t)
	first, second, both := a.attach(fresh("first")), a.attach(fresh("second")), fresh("both")
	a.attach(both)
	stays := b.attach(both)
	for _, c := range []cluster.Claim{first, second} {
		awaitClaim(t, outside, c)
	}
	awaitClaim(t, outside, stays, a.node.Run)
	for range 2 {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	asked := a.asked.Load()
	a.Attach(first)
	a.Detach(second.ID)
	for _, c := range []cluster.Claim{first, second} {
		awaitNobody(t, outside, c.ID)
	}
	awaitClaim(t, outside, stays)
	if now := a.asked.Load(); now != asked {
		t.Errorf("the holder was asked %d times after Close", now-asked)
	}
}

func endsWithContext(t *testing.T, target Target) {
	a := join(t, target, "a")
	c := a.attach(fresh("held"))
	awaitClaim(t, a, c)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the test ends it")
	cancel(cause)
	if _, err := within(t, a, ctx, c.ID); !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("Locate returned %v, want ErrUnavailable, context.Canceled and its cause", err)
	}
}
