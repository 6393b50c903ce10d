package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/transport"
)

// Dial opens a connection to a client, which is a [transport.Conn]. It costs no round
// trip. ctx bounds the call, and not the connection.
//
// If a session turns out to be over, the client's next one is dialled. The error
// matches [*NotConnectedError] if there is none, and [ErrInvalidID] if id is no ID. A
// client that is connected but takes no more connections holds the Dial up until ctx
// ends.
func (f *Fleet) Dial(ctx context.Context, id string) (net.Conn, error) {
	return f.dial(ctx, id, f.waits)
}

// TryDial is [Fleet.Dial], but does not wait for a client that is not connected, even with
// [WithWaitForClient]: for who would look for it elsewhere.
func (f *Fleet) TryDial(ctx context.Context, id string) (net.Conn, error) {
	return f.dial(ctx, id, false)
}

func (f *Fleet) dial(ctx context.Context, id string, wait bool) (net.Conn, error) {
	if err := CheckID(id); err != nil {
		return nil, fmt.Errorf("fleet: dial %w", err)
	}
	for {
		m, err := f.find(ctx, id, wait)
		if err != nil {
			return nil, fmt.Errorf("fleet: dial: %w", err)
		}
		conn, err := m.dialer.DialContext(ctx, "", "")
		if err == nil {
			return conn, nil
		}
		if !isGone(err) {
			return nil, fmt.Errorf("fleet: dial %q: %w", id, err)
		}
		f.leave(m, err)
	}
}

// isGone reports whether err, of dialling a session, says that it will not be dialled
// again.
func isGone(err error) bool {
	return errors.Is(err, transport.ErrClientGone) || errors.Is(err, transport.ErrDraining) || errors.Is(err, net.ErrClosed)
}

// DialContext is [Fleet.Dial] of the client whose ID is the host in addr, which may
// have a port. Neither that nor network is used.
func (f *Fleet) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	id, _, err := net.SplitHostPort(addr)
	if err != nil {
		id = addr
	}
	return f.Dial(ctx, id)
}

// Wait waits until a client is connected, and returns its session. When ctx ends
// first, the error matches that of ctx and [*NotConnectedError].
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

// find returns the session in which a client is to be dialled, and may wait for it.
func (f *Fleet) find(ctx context.Context, id string, wait bool) (*member, error) {
	for {
		m, arrival, err := f.look(id, wait)
		if m != nil || arrival == nil {
			return m, err
		}
		select {
		case <-arrival.come:
			f.stopWaiting(id, arrival)
		case <-ctx.Done():
			f.stopWaiting(id, arrival)
			return nil, fmt.Errorf("wait: %w: %w", ctxerr.Of(ctx), err)
		}
	}
}

// look returns a session, or why there is none and what tells when there is one.
func (f *Fleet) look(id string, wait bool) (*member, *arrival, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.pickLocked(id); m != nil {
		return m, nil, nil
	}
	err := f.notConnectedLocked(id)
	if !wait {
		return nil, nil, err
	}
	a := f.arrivals[id]
	if a == nil {
		a = &arrival{come: make(chan struct{})}
		f.arrivals[id] = a
	}
	a.waiting++
	return nil, a, err
}

// pickLocked returns the session in which a client is to be dialled, or nil.
func (f *Fleet) pickLocked(id string) *member {
	var best *member
	for _, m := range f.membersLocked(id) {
		if best == nil || f.prefers(m, best) {
			best = m
		}
	}
	return best
}

// prefers reports whether m is to be dialled rather than an older session.
func (f *Fleet) prefers(m, older *member) bool {
	switch moving := m.dialer.Moving(); {
	case moving != older.dialer.Moving():
		return !moving
	case f.duplicates == KeepAll:
		return m.dialer.Info().Streams < older.dialer.Info().Streams
	}
	return true
}

func (f *Fleet) notConnectedLocked(id string) error {
	left, _ := f.gone.Get(id)
	return &NotConnectedError{ID: id, Since: left.at, Cause: left.why}
}

// An arrival is the next session of a client that is not connected.
type arrival struct {
	come    chan struct{} // closed when it has come
	waiting int           // how many wait; guarded by Fleet.mu
}

func (f *Fleet) arrivedLocked(id string) {
	if a := f.arrivals[id]; a != nil {
		close(a.come)
		delete(f.arrivals, id)
	}
}

// stopWaiting forgets an arrival that nobody waits for any more.
func (f *Fleet) stopWaiting(id string, a *arrival) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.waiting--; a.waiting == 0 && f.arrivals[id] == a {
		delete(f.arrivals, id)
	}
}
