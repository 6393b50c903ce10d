package transport

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

// stripped remembers the paths on which something removes the server's choice of a protocol
// from its answer, but not the client's offer from its request. There the server uses what it
// has chosen, and the client takes it for a wslis peer and uses yamux. If the client offers
// nothing, the server uses yamux too. The zero value remembers nothing.
type stripped struct {
	mu    sync.Mutex // guards below
	until map[path]time.Time
}

// errNoYamux is the end of a session of a client that has offered nothing, with a server that
// does not use yamux all the same.
var errNoYamux = errors.New("the server does not use yamux, although the client offered nothing else")

// has reports whether the client should offer nothing on p.
func (m *stripped) has(p path, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Before(m.until[p])
}

// learn learns from a session on p that has ended. Offering nothing to a wslis peer makes no
// difference, so a session that was lost before it had answered anything may count.
func (m *stripped) learn(p path, s *session, now time.Time) {
	err := context.Cause(s.mux.Context())
	garbled := errors.Is(err, mux.ErrProtocol)
	switch {
	case s.info.Protocol != "":
	case s.mute && garbled:
		m.forget(p)
	case !s.mute && (garbled || errors.Is(err, mux.ErrSessionEnded) && s.mux.RoundTrip() == 0):
		m.remember(p, now)
		withErr(s.log(), s.err()).Warn("backdial: offering no protocols for a while, because the server's choice may get lost",
			"for", strippedFor)
	}
}

func (m *stripped) remember(p path, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.until, func(_ path, until time.Time) bool { return !now.Before(until) })
	if m.until == nil {
		m.until = make(map[path]time.Time)
	}
	m.until[p] = now.Add(strippedFor)
}

func (m *stripped) forget(p path) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.until, p)
}
