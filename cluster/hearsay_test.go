package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
)

// A hearsay is a registry that counts what it is asked, and may say something wrong.
type hearsay struct {
	cluster.Registry
	locates atomic.Int64
	says    atomic.Pointer[saying] // instead of the registry, or nil
	away    atomic.Bool            // the engine is, and tells nothing
	holder  cluster.Holder         // of the node that has joined

	mu   sync.Mutex
	told []string // by the node that has joined: "+" and "-" and an ID, and "close"
}

type saying func(ctx context.Context, id string, except ...string) (cluster.Claim, error)

func (h *hearsay) Join(self cluster.Node, holder cluster.Holder) (cluster.Member, error) {
	h.holder = holder
	m, err := h.Registry.Join(self, holder)
	return overheard{m, h}, err
}

// An overheard member is one whose registry remembers what it is told.
type overheard struct {
	cluster.Member
	by *hearsay
}

func (o overheard) Attach(c cluster.Claim) {
	o.by.note("+" + c.ID)
	o.Member.Attach(c)
}

func (o overheard) Detach(id string) {
	o.by.note("-" + id)
	o.Member.Detach(id)
}

func (o overheard) Close() error {
	o.by.note("close")
	return o.Member.Close()
}

func (h *hearsay) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, what)
}

// wasTold waits until the registry was told just that.
func (h *hearsay) wasTold(t *testing.T, want ...string) {
	t.Helper()
	await.Until(t, "the registry is told "+strings.Join(want, " "), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.Equal(h.told, want)
	})
}

func (h *hearsay) Locate(ctx context.Context, id string, except ...string) (cluster.Claim, error) {
	h.locates.Add(1)
	if h.away.Load() {
		return cluster.Claim{}, fmt.Errorf("locate %q: %w", id, cluster.ErrUnavailable)
	}
	if says := h.says.Load(); says != nil {
		return (*says)(ctx, id, except...)
	}
	return h.Registry.Locate(ctx, id, except...)
}

// Watch reports nothing if the engine is away when it is called.
func (h *hearsay) Watch(ctx context.Context, id string) (<-chan cluster.Claim, error) {
	if h.away.Load() {
		return nil, fmt.Errorf("watch %q: %w", id, cluster.ErrUnavailable)
	}
	return h.Registry.Watch(ctx, id)
}

// claims makes a node claim each client, true or not.
func (h *hearsay) claims(node cluster.Node) {
	h.say(func(_ context.Context, id string, _ ...string) (cluster.Claim, error) {
		return cluster.Claim{ID: id, Node: node}, nil
	})
}

func (h *hearsay) say(s saying) { h.says.Store(&s) }

// hearsay returns a registry that knows what the site's does.
func (s *site) hearsay() *hearsay { return &hearsay{Registry: s.registry} }

// node returns the one that claims a client.
func (s *site) node(t *testing.T, id string) cluster.Node {
	t.Helper()
	claim, err := s.registry.Locate(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return claim.Node
}
