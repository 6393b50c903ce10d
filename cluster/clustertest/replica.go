package clustertest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

// Both are long enough for a loaded machine under the race detector.
var (
	// patience limits waits for what has to happen.
	patience = 20 * time.Second

	// atOnce limits calls that may take a round trip, and must not wait for any timeout.
	atOnce = 2 * time.Second
)

const (
	// quiet is how long to listen for what must not come.
	quiet = 100 * time.Millisecond

	// poll is how often to check a condition.
	poll = 5 * time.Millisecond
)

// A replica is a node that has joined, and what it holds.
type replica struct {
	cluster.Registry
	cluster.Member
	node   cluster.Node
	rivals chan cluster.Claim
	asked  atomic.Int64

	mu     sync.Mutex // guards below
	claims map[string]cluster.Claim
}

// join opens another registry, for a node that joins it.
func join(t *testing.T, target Target, name string) *replica {
	t.Helper()
	pin := sha256.Sum256([]byte(name))
	r := &replica{
		Registry: target.Open(t),
		node:     cluster.Node{Name: name, Run: rand.Text(), URL: "wss://" + name + ".example/peer", Pin: pin[:]},
		rivals:   make(chan cluster.Claim, 1000),
		claims:   make(map[string]cluster.Claim),
	}
	var err error
	if r.Member, err = r.Registry.Join(r.node, r); err != nil {
		t.Fatalf("Join: %v", err)
	}
	t.Cleanup(func() { r.Member.Close() })
	return r
}

// Claim implements [cluster.Holder].
func (r *replica) Claim(id string) (cluster.Claim, bool) {
	r.asked.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.claims[id]
	return c, ok
}

// Rival implements [cluster.Holder].
func (r *replica) Rival(c cluster.Claim) {
	select {
	case r.rivals <- c:
	default:
	}
}

// hold makes the replica hold a client, since a time relative to now.
func (r *replica) hold(id string, since time.Duration, doubtful bool) cluster.Claim {
	c := cluster.Claim{ID: id, Node: r.node, Since: later().Add(-since), Doubtful: doubtful}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claims[id] = c
	return c
}

// latest is the time that later has returned last, in milliseconds since 1970.
var latest atomic.Int64

// later returns about the current time. No two calls return the same, however coarse the clock
// is.
func later() time.Time {
	for {
		before := latest.Load()
		now := max(time.Now().UnixMilli(), before+1)
		if latest.CompareAndSwap(before, now) {
			return time.UnixMilli(now)
		}
	}
}

// drop makes the replica no longer hold a client.
func (r *replica) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.claims, id)
}

// attach makes the replica get a client.
func (r *replica) attach(id string) cluster.Claim {
	c := r.hold(id, 0, false)
	r.Attach(c)
	return c
}

// detach makes the replica lose a client.
func (r *replica) detach(id string) {
	r.drop(id)
	r.Detach(id)
}

// fresh returns an ID that no other test has.
func fresh(name string) string { return name + "-" + rand.Text() }

// differ returns how a claim differs from what is wanted.
func differ(got, want cluster.Claim) error {
	if got.ID != want.ID || got.Node.Run != want.Node.Run || got.Node.Name != want.Node.Name || got.Node.URL != want.Node.URL ||
		string(got.Node.Pin) != string(want.Node.Pin) || !got.Since.Equal(want.Since) || got.Doubtful != want.Doubtful {
		return fmt.Errorf("%s, want %s", describe(got), describe(want))
	}
	return nil
}

// describe is short enough to compare two claims by eye.
func describe(c cluster.Claim) string {
	return fmt.Sprintf("claim to %q by %q, run %s, at %s, pin %.4x…, since %s, doubtful %t",
		c.ID, c.Node.Name, c.Node.Run, c.Node.URL, c.Node.Pin, c.Since.UTC().Format(time.RFC3339Nano), c.Doubtful)
}

// awaitClaim locates a client until the claim is as wanted. Until then the registry may know
// none.
func awaitClaim(t *testing.T, by cluster.Registry, want cluster.Claim, except ...string) {
	t.Helper()
	var err error
	await(t, func() bool {
		var got cluster.Claim
		if got, err = by.Locate(t.Context(), want.ID, except...); err == nil {
			err = differ(got, want)
		}
		return err == nil
	}, func() error { return err })
}

// awaitNobody locates a client until no replica has it.
func awaitNobody(t *testing.T, by cluster.Registry, id string, except ...string) {
	t.Helper()
	var err error
	await(t, func() bool {
		_, err = by.Locate(t.Context(), id, except...)
		return errors.Is(err, cluster.ErrNotConnected)
	}, func() error { return fmt.Errorf("%w; want ErrNotConnected", err) })
}

// await waits until done returns true, and fails with why if that takes too long.
func await(t *testing.T, done func() bool, why func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); <-time.After(poll) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, why())
		}
	}
}

// receive returns the next claim.
func receive(t *testing.T, what string, claims <-chan cluster.Claim) cluster.Claim {
	t.Helper()
	select {
	case c := <-claims:
		return c
	case <-time.After(patience):
		t.Fatalf("%s: no claim after %v", what, patience)
		panic("unreachable")
	}
}

// awaitTold receives claims until the wanted one.
func awaitTold(t *testing.T, what string, claims <-chan cluster.Claim, want cluster.Claim) {
	t.Helper()
	for {
		got := receive(t, what, claims)
		if got.ID != want.ID {
			t.Fatalf("%s: told of %q, want %q", what, got.ID, want.ID)
		}
		if differ(got, want) == nil {
			return
		}
	}
}

// within calls Locate, and fails t if that takes longer than it must.
func within(t *testing.T, by cluster.Registry, ctx context.Context, id string, except ...string) (cluster.Claim, error) {
	t.Helper()
	began := time.Now()
	c, err := by.Locate(ctx, id, except...)
	if took := time.Since(began); took > atOnce {
		t.Errorf("Locate took %v, want %v at most", took, atOnce)
	}
	return c, err
}
