package fleet

import (
	"context"
	"fmt"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/transport"
)

// Wait waits until a client is connected, and returns its session. If ctx ends first, the
// error matches ctx's and [*NotConnectedError].
func (f *Fleet) Wait(ctx context.Context, id string) (*transport.Dialer, error) {
	if err := CheckID(id); err != nil {
		return nil, fmt.Errorf("fleet: wait for %w", err)
	}
	m, err := f.find(ctx, id, true)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return m.dialer, nil
}

// find returns the session in which to dial a client, and may wait for it.
func (f *Fleet) find(ctx context.Context, id string, wait bool) (*member, error) {
	for {
		m, next, err := f.look(id, wait)
		if m != nil || next == nil {
			return m, err
		}
		select {
		case <-next.come:
			f.stopWaiting(id, next)
		case <-ctx.Done():
			f.stopWaiting(id, next)
			return nil, fmt.Errorf("wait: %w: %w", ctxerr.Of(ctx), err)
		}
	}
}

// look returns a session, or why there is none and what to wait for.
func (f *Fleet) look(id string, wait bool) (*member, *awaited, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.pickLocked(id); m != nil {
		return m, nil, nil
	}
	err := f.notConnectedLocked(id)
	if !wait {
		return nil, nil, err
	}
	a := f.awaited[id]
	if a == nil {
		a = &awaited{come: make(chan struct{})}
		f.awaited[id] = a
	}
	a.waiting++
	return nil, a, err
}

// An awaited is a client that is not connected, and that a Dial or Wait waits for.
type awaited struct {
	come    chan struct{} // closed when it has a session
	waiting int           // calls that wait; guarded by Fleet.mu
}

func (f *Fleet) joinedLocked(id string) {
	if a := f.awaited[id]; a != nil {
		close(a.come)
		delete(f.awaited, id)
	}
}

// stopWaiting forgets a client that nothing waits for any more.
func (f *Fleet) stopWaiting(id string, a *awaited) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.waiting--; a.waiting == 0 && f.awaited[id] == a {
		delete(f.awaited, id)
	}
}
