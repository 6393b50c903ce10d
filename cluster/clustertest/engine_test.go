package clustertest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	. "github.com/backdial/backdial/cluster/clustertest"
	"github.com/backdial/backdial/internal/ctxerr"
)

// An engine is the engine of a registry that is sound, except for mistakes.
type engine struct {
	*cluster.Local
	mistakes

	mu      sync.Mutex // guards below
	away    bool
	frozen  bool
	members []*member
}

// mistakes are functions that replace the sound ones if they are not nil.
type mistakes struct {
	locate locate
	holder func(cluster.Holder) cluster.Holder
	member func(cluster.Member, cluster.Node, cluster.Holder) cluster.Member
	watch  func(context.Context, <-chan cluster.Claim) <-chan cluster.Claim

	whileAway   error // what Locate says during an outage
	forgets     bool  // an outage makes it forget what was announced
	inattentive bool  // what is announced during an outage is lost
	waits       bool  // Locate waits for an engine that does not answer
}

func (m mistakes) target() Target {
	e := &engine{Local: cluster.NewLocal(), mistakes: m}
	return Target{
		Open:   func(*testing.T) cluster.Registry { return e },
		Outage: func(*testing.T) func() { e.set(true, false); return func() { e.set(false, false) } },
		Freeze: func(*testing.T) func() { e.set(false, true); return func() { e.set(false, false) } },
	}
}

func (e *engine) set(away, frozen bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	back := e.away && !away
	e.away, e.frozen = away, frozen
	for _, m := range e.members {
		if back {
			m.catchUp(e.forgets)
		}
	}
}

func (e *engine) Locate(ctx context.Context, id string, except ...string) (cluster.Claim, error) {
	e.mu.Lock()
	away, frozen := e.away, e.frozen
	e.mu.Unlock()
	switch {
	case frozen && e.waits:
		<-time.After(5 * time.Second)
	case frozen:
		select {
		case <-ctx.Done():
			return cluster.Claim{}, fmt.Errorf("%w: %w", cluster.ErrUnavailable, ctxerr.Of(ctx))
		case <-time.After(200 * time.Millisecond):
			return cluster.Claim{}, cluster.ErrUnavailable
		}
	case away && e.whileAway != nil:
		return cluster.Claim{}, e.whileAway
	case away:
		return cluster.Claim{}, cluster.ErrUnavailable
	}
	if e.locate != nil {
		return e.locate(e.Local, ctx, id, except)
	}
	return e.Local.Locate(ctx, id, except...)
}

func (e *engine) Join(self cluster.Node, holder cluster.Holder) (cluster.Member, error) {
	if e.holder != nil {
		holder = e.holder(holder)
	}
	inner, err := e.Local.Join(self, holder)
	if err != nil {
		return nil, err
	}
	if e.member != nil {
		inner = e.member(inner, self, holder)
	}
	m := &member{Member: inner, engine: e, attached: make(map[string]bool)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.members = append(e.members, m)
	return m, nil
}

func (e *engine) Watch(ctx context.Context, id string) (<-chan cluster.Claim, error) {
	claims, err := e.Local.Watch(ctx, id)
	if err == nil && e.watch != nil {
		claims = e.watch(ctx, claims)
	}
	return claims, err
}

// A member says after an outage what it would have said during it.
type member struct {
	cluster.Member
	engine   *engine
	attached map[string]bool // guarded by engine.mu
	later    []func()        // guarded by engine.mu
}

func (m *member) say(f func()) {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	if m.engine.away {
		m.later = append(m.later, f)
		return
	}
	f()
}

func (m *member) Attach(c cluster.Claim) {
	m.say(func() { m.attached[c.ID] = true; m.Member.Attach(c) })
}

func (m *member) Detach(id string) {
	m.say(func() { delete(m.attached, id); m.Member.Detach(id) })
}

// catchUp is called with engine.mu.
func (m *member) catchUp(forgets bool) {
	for id := range m.attached {
		if forgets {
			m.Member.Detach(id)
		}
	}
	for _, f := range m.later {
		if !m.engine.inattentive {
			f()
		}
	}
	m.later = nil
}
