package fleet

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/recent"
	"github.com/backdial/backdial/transport"
)

// A Fleet is the clients of one or several servers, by ID. It is a
// [transport.EndpointHandler]. It does not need to be closed: sessions leave it when they end.
type Fleet struct {
	identify     Identify
	duplicates   Duplicates
	mostSessions int // of a client, with KeepAll
	waits        bool

	mu       sync.Mutex                    // guards below; never held while blocked
	clients  map[string][]*member          // connected, each with at least one session, the latest last
	draining map[string][]*member          // have left, but still have connections
	gone     recent.Map[string, departure] // have left, and are not back
	kicked   recent.Map[string, kick]      // by the latest call of Kick, wherever they were
	kicks    uint64                        // calls of Kick
	awaited  map[string]*awaited           // not connected, but waited for
	watchers map[*watcher]struct{}
	asking   map[string]bool // clients with a handshake that waits for a sign of life
	stats    Stats
}

// maxDepartures is how many clients that have left the fleet remembers.
const maxDepartures = 65536

// maxDraining is how many sessions a client may have that it has left. One of this module's has
// 15 at most, of which it uses up to 8.
const maxDraining = 16

// A departure is when and why a client has left.
type departure struct {
	at  time.Time
	why error
}

// New returns a fleet of the clients that identify names.
func New(identify Identify, opts ...Option) *Fleet {
	f := &Fleet{
		identify: identify,

		mostSessions: defaultSessionsPerClient,

		clients:  make(map[string][]*member),
		draining: make(map[string][]*member),
		awaited:  make(map[string]*awaited),
		watchers: make(map[*watcher]struct{}),
		asking:   make(map[string]bool),
	}
	f.gone.Max, f.kicked.Max = maxDepartures, maxDepartures
	for _, o := range opts {
		o(f)
	}
	return f
}

// Lookup returns the session in which the fleet would dial a client.
func (f *Fleet) Lookup(id string) (d *transport.Dialer, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.pickLocked(id); m != nil {
		return m.dialer, true
	}
	return nil, false
}

// All yields each client, and the session in which the fleet would dial it, as of the
// beginning of the loop, in no order. With [KeepAll] it yields all sessions. The loop may use
// the fleet.
func (f *Fleet) All() iter.Seq2[string, *transport.Dialer] {
	return func(yield func(string, *transport.Dialer) bool) {
		for _, m := range f.snapshot() {
			if !yield(m.id, m.dialer) {
				return
			}
		}
	}
}

func (f *Fleet) snapshot() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*member, 0, len(f.clients))
	for id, members := range f.clients {
		if f.duplicates == KeepAll {
			all = append(all, members...)
		} else if m := f.pickLocked(id); m != nil {
			all = append(all, m)
		}
	}
	return all
}

// Len returns how many clients are connected. A client with several sessions counts once.
func (f *Fleet) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.clients)
}

// Stats describes a fleet, for metrics.
type Stats struct {
	// Clients is how many clients are connected, and Sessions how many sessions they have.
	Clients, Sessions int

	// Replaced, Rejected and Kicked count, since New, the sessions closed for a newer one of
	// the same ID, the newcomers refused because of an older one, and the sessions that Kick
	// closed.
	Replaced, Rejected, Kicked uint64
}

// Stats returns the fleet's counts.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Clients = len(f.clients)
	return s
}

// addLocked makes m a member.
func (f *Fleet) addLocked(m *member) {
	f.clients[m.id] = append(f.clients[m.id], m)
	f.stats.Sessions++
	f.gone.Delete(m.id)
	f.tellLocked(Change{ID: m.id, Dialer: m.dialer}, m)
	f.joinedLocked(m.id)
	context.AfterFunc(m.dialer.Dialable(), func() { f.remove(m, m.whyGone()) })
}

// remove removes m from the fleet, which then no longer dials it.
func (f *Fleet) remove(m *member, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(m, why)
}

// membersLocked returns the sessions of a client that can be dialled, the latest last. It
// removes sessions that cannot at once, so that errors can name the cause.
func (f *Fleet) membersLocked(id string) []*member {
	for _, m := range f.clients[id] {
		if !m.dialable() {
			f.removeLocked(m, m.whyGone())
		}
	}
	return f.clients[id]
}

// removeLocked removes m, and reports whether it was a member. Other sessions with its ID
// stay.
func (f *Fleet) removeLocked(m *member, why error) bool {
	if !removeFrom(f.clients, m) {
		return false
	}
	if f.clients[m.id] == nil {
		f.gone.Set(m.id, departure{time.Now(), why})
	}
	if errors.Is(why, transport.ErrDraining) {
		f.draining[m.id] = append(f.draining[m.id], m)
		context.AfterFunc(m.dialer.Context(), func() { f.drained(m) })
		f.boundDrainingLocked(m.id)
	}
	f.stats.Sessions--
	f.tellLocked(Change{ID: m.id, Dialer: m.dialer, Gone: why}, m)
	return true
}

// boundDrainingLocked closes the session that a client has left first, if there are too many: a
// client that keeps saying that it leaves, and stays, could otherwise take all sessions that the
// server allows, although few may have its ID.
func (f *Fleet) boundDrainingLocked(id string) {
	most := maxDraining
	if f.duplicates == KeepAll {
		most = max(most, f.mostSessions)
	}
	if len(f.draining[id]) <= most {
		return
	}
	first := f.draining[id][0]
	removeFrom(f.draining, first)
	f.stats.Replaced++
	go closeAll([]*member{first}, ErrReplaced, ErrReplaced.Error()) // ends within seconds
}

// drained forgets a session that has ended. A client that was about to leave has left.
func (f *Fleet) drained(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	removeFrom(f.draining, m)
	left, _ := f.gone.Get(m.id)
	if err := m.dialer.Err(); left.why == context.Cause(m.dialer.Dialable()) && errors.Is(err, transport.ErrClientGone) {
		f.gone.Set(m.id, departure{left.at, err})
	}
}

// removeFrom removes m, and reports whether it was there.
func removeFrom(from map[string][]*member, m *member) bool {
	i := slices.Index(from[m.id], m)
	if i < 0 {
		return false
	}
	// A copy, because another goroutine may be reading the old slice.
	from[m.id] = slices.Delete(slices.Clone(from[m.id]), i, i+1)
	if len(from[m.id]) == 0 {
		delete(from, m.id)
	}
	return true
}
