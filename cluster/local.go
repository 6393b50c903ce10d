package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/ctxerr"
)

// A Local is a [Registry] of one process, which is a map. It does not need to be closed.
type Local struct {
	mu       sync.Mutex // guards below; not held while a holder is called
	claims   map[string][]*localMember
	watchers map[string][]chan Claim
}

// NewLocal returns a registry for the clusters of one process.
func NewLocal() *Local {
	return &Local{claims: make(map[string][]*localMember), watchers: make(map[string][]chan Claim)}
}

type localMember struct {
	registry *Local
	node     Node
	holder   Holder
	attached map[string]struct{} // guarded by Local.mu; nil when closed
}

// Join implements [Registry].
func (l *Local) Join(self Node, holder Holder) (Member, error) {
	return &localMember{registry: l, node: self, holder: holder, attached: make(map[string]struct{})}, nil
}

// Locate implements [Registry].
func (l *Local) Locate(ctx context.Context, id string, except ...string) (Claim, error) {
	if err := fleet.CheckID(id); err != nil {
		return Claim{}, err
	}
	if ctx.Err() != nil {
		return Claim{}, fmt.Errorf("locate %q: %w: %w", id, ErrUnavailable, ctxerr.Of(ctx))
	}
	var best *Claim
	none := ErrNotConnected
	for _, m := range l.members(id) {
		c, ok := m.holder.Claim(id)
		switch {
		case ok && slices.Contains(except, m.node.Run):
			none = ErrMoved
		case ok && (best == nil || c.Before(*best)):
			best = &c
		}
	}
	if best == nil {
		return Claim{}, fmt.Errorf("locate %q: %w", id, none)
	}
	return *best, nil
}

// members returns the members that have announced a client.
func (l *Local) members(id string) []*localMember {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.claims[id])
}

// Watch implements [Registry].
func (l *Local) Watch(ctx context.Context, id string) (<-chan Claim, error) {
	if err := fleet.CheckID(id); err != nil {
		return nil, err
	}
	claims := make(chan Claim, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[id] = append(l.watchers[id], claims)
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		removeFrom(l.watchers, id, claims)
	})
	return claims, nil
}

// Attach implements [Member].
func (m *localMember) Attach(c Claim) {
	l := m.registry
	l.mu.Lock()
	if m.attached == nil {
		l.mu.Unlock()
		return
	}
	if _, again := m.attached[c.ID]; !again {
		m.attached[c.ID] = struct{}{}
		l.claims[c.ID] = append(l.claims[c.ID], m)
	}
	rivals := slices.Clone(l.claims[c.ID])
	for _, w := range l.watchers[c.ID] {
		select {
		case <-w: // drop an older claim that was not received
		default:
		}
		w <- c
	}
	l.mu.Unlock()
	for _, r := range rivals {
		if r != m {
			r.holder.Rival(c)
		}
	}
}

// Detach implements [Member].
func (m *localMember) Detach(id string) {
	l := m.registry
	l.mu.Lock()
	defer l.mu.Unlock()
	m.detachLocked(id)
}

func (m *localMember) detachLocked(id string) {
	if _, ok := m.attached[id]; ok {
		delete(m.attached, id)
		removeFrom(m.registry.claims, id, m)
	}
}

// Close implements [Member].
func (m *localMember) Close() error {
	l := m.registry
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range m.attached {
		m.detachLocked(id)
	}
	m.attached = nil
	return nil
}

// removeFrom removes v from the values of a key.
func removeFrom[T comparable](values map[string][]T, key string, v T) {
	left := slices.DeleteFunc(values[key], func(other T) bool { return other == v })
	if len(left) == 0 {
		delete(values, key)
		return
	}
	values[key] = left
}
