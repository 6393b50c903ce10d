package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/backdial/backdial/transport"
)

// Dial opens a connection to a client, and returns a [transport.Conn]. It costs no round trip.
// ctx limits the call and not the connection.
//
// If a session turns out to be over, Dial uses the client's next one. The error matches
// [*NotConnectedError] if there is none, and [ErrInvalidID] if id is invalid. If a
// client is connected but takes no more connections, Dial blocks until ctx ends.
func (f *Fleet) Dial(ctx context.Context, id string) (net.Conn, error) {
	return f.dial(ctx, id, f.waits)
}

// TryDial is [Fleet.Dial], but does not wait for a client that is not connected, even with
// [WithWaitForClient]. Use it to look for the client elsewhere.
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
		f.remove(m, err)
	}
}

// isGone reports whether err, of dialling a session, says that the session cannot be dialled
// again.
func isGone(err error) bool {
	return errors.Is(err, transport.ErrClientGone) || errors.Is(err, transport.ErrDraining) || errors.Is(err, net.ErrClosed)
}

// DialContext is [Fleet.Dial] of the client whose ID is the host in addr. It ignores the port
// in addr, if any, and network.
func (f *Fleet) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	id, _, err := net.SplitHostPort(addr)
	if err != nil {
		id = addr
	}
	return f.Dial(ctx, id)
}

// pickLocked returns the session in which to dial a client, or nil.
func (f *Fleet) pickLocked(id string) *member {
	var best *member
	for _, m := range f.membersLocked(id) {
		if best == nil || f.prefers(m, best) {
			best = m
		}
	}
	return best
}

// prefers reports whether to dial m rather than an older session.
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
