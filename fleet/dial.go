package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"

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
		f.remove(m, err)
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
