package fleet

import (
	"context"
	"errors"

	"github.com/backdial/backdial/internal/reverse"
	"github.com/backdial/backdial/transport"
)

// A member is a session of a client.
type member struct {
	id     string
	dialer *transport.Dialer
	kicks  uint64 // calls of Kick before the client was identified
}

// dialable reports whether m can be dialled, as far as is known.
func (m *member) dialable() bool { return m.dialer.Dialable().Err() == nil }

// whyGone returns why m cannot be dialled, or nil if it can.
func (m *member) whyGone() error {
	if err := m.dialer.Err(); err != nil {
		return err
	}
	return context.Cause(m.dialer.Dialable())
}

func (m *member) isOlder(than *member) bool {
	return m.dialer.Info().Since.Before(than.dialer.Info().Since)
}

// hasNoConnection reports whether err says that no connection could be opened to m.
func (m *member) hasNoConnection(err error) bool {
	no, ok := errors.AsType[*reverse.NoConnectionError](err)
	return ok && no.Session == m.dialer
}
