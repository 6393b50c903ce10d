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
// [transport.EndpointHandler]. It needs no closing: sessions leave it when they end.
type Fleet struct {
	identify   Identify
	duplicates Duplicates
	waits      bool

	mu       sync.Mutex                    // guards below, and is not held while anything is waited for
	clients  map[string][]*member          // that are connected, each with one session at least, the latest last
	draining map[string][]*member          // that have left, and have connections all the same
	gone     recent.Map[string, departure] // that have left, and are not back
	awaited  map[string]*awaited           // that somebody waits for
	watchers map[*watcher]struct{}
	stats    Stats
}

// maxDepartures is how many clients that have left are remembered.
const maxDepartures = 65536

// A departure is when and why a client has left.
type departure struct {
	at  time.Time
	why error
}

// New returns a fleet whose clients are known by what identify says.
func New(identify Identify, opts ...Option) *Fleet {
	f := &Fleet{
		identify: identify,
		clients:  make(map[string][]*member),
		draining: make(map[string][]*member),
		awaited:  make(map[string]*awaited),
		watchers: make(map[*watcher]struct{}),
	}
	f.gone.Max = maxDepartures
	for _, o := range opts {
		o(f)
	}
	return f
}

// Lookup returns the session in which a client would be dialled.
func (f *Fleet) Lookup(id string) (d *transport.Dialer, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.pickLocked(id); m != nil {
		return m.dialer, true
	}
	return nil, false
}

// All yields each client and the session in which it would be dialled, as they are
// when the loop begins, in no order. With [KeepAll] it yields all of its sessions. The
// fleet may be used in the loop.
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

// Len returns how many clients are connected. One with several sessions is one.
func (f *Fleet) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.clients)
}

// Stats describes a fleet, for metrics.
type Stats struct {
	// Clients is how many are connected, and Sessions how many sessions they have.
	Clients, Sessions int

	// Replaced, Rejected and Kicked count, since New, the sessions that were closed
	// for a newer one of the same ID, the newcomers that were turned away because of
	// an older one, and the sessions that Kick closed.
	Replaced, Rejected, Kicked uint64
}

// Stats returns what the fleet has counted.
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

// remove has m not be dialled any more.
func (f *Fleet) remove(m *member, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(m, why)
}

// membersLocked returns the sessions of a client that can be dialled, the latest last.
// Those that cannot leave now, for what is known of them may be told at once.
func (f *Fleet) membersLocked(id string) []*member {
	for _, m := range f.clients[id] {
		if !m.dialable() {
			f.removeLocked(m, m.whyGone())
		}
	}
	return f.clients[id]
}

// removeLocked has m not be a member any more, and reports whether it was one. Others
// of its ID stay.
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
	}
	f.stats.Sessions--
	f.tellLocked(Change{ID: m.id, Dialer: m.dialer, Gone: why}, m)
	return true
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
	// A copy, because what there was may be looked through right now.
	from[m.id] = slices.Delete(slices.Clone(from[m.id]), i, i+1)
	if len(from[m.id]) == 0 {
		delete(from, m.id)
	}
	return true
}
