package transport

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

// stripped remembers the paths on which something removes the server's choice of a
// protocol from its answer, and the client's offer not from its request. The server then
// speaks what it has chosen, and the client, which takes it for a wslis peer, yamux. If
// the client offers nothing, the server speaks yamux too. The zero value remembers
// nothing.
type stripped struct {
	mu    sync.Mutex // guards below
	until map[path]time.Time
}

// errNoYamux is matched by the end of a session of a client that has offered nothing,
// with a server that does not speak yamux all the same.
var errNoYamux = errors.New("the server does not use yamux, although the client offered nothing else")

// has reports whether nothing is to be offered on p.
func (m *stripped) has(p path, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Before(m.until[p])
}

// learn draws the conclusion from a session on p that has ended. To offer nothing to a
// wslis peer makes no difference, so one that was lost before it had answered anything
// may count.
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
