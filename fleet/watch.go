package fleet

import (
	"container/list"
	"context"
	"iter"
	"maps"

	"github.com/backdial/backdial/transport"
)

// A Change is a session that has joined the fleet or left it.
type Change struct {
	ID     string
	Dialer *transport.Dialer

	// Gone is nil for a session that has joined, and why it has left for one that has:
	// the same as [NotConnectedError.Cause]. A session leaves when it cannot be dialled
	// any more; one that drains has connections all the same.
	Gone error
}

// Watch yields the sessions that are in the fleet, and then each that joins or leaves,
// until ctx ends. The fleet does not wait for the loop: a session that has left before
// the loop got to it is left out, so that what a slow one has still to be told is
// bounded by how many sessions there are.
func (f *Fleet) Watch(ctx context.Context) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		w := f.watch()
		defer f.unwatch(w)
		for {
			change, ok := f.next(w)
			switch {
			case ctx.Err() != nil, ok && !yield(change):
				return
			case ok:
				continue
			}
			select {
			case <-w.wake:
			case <-ctx.Done():
			}
		}
	}
}

// A watcher is a loop that is told of changes. It is guarded by [Fleet.mu].
type watcher struct {
	wake    chan struct{} // has room for one
	pending list.List     // of news, the oldest first
	joined  map[*member]*list.Element
}

type news struct {
	Change
	of *member
}

func (f *Fleet) watch() *watcher {
	w := &watcher{wake: make(chan struct{}, 1), joined: make(map[*member]*list.Element)}
	f.mu.Lock()
	defer f.mu.Unlock()
	for members := range maps.Values(f.clients) {
		for _, m := range members {
			w.tell(Change{ID: m.id, Dialer: m.dialer}, m)
		}
	}
	f.watchers[w] = struct{}{}
	return w
}

func (f *Fleet) unwatch(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watchers, w)
}

// next returns what w has not been told yet.
func (f *Fleet) next(w *watcher) (c Change, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := w.pending.Front()
	if e == nil {
		return c, false
	}
	n := w.pending.Remove(e).(news)
	if n.Gone == nil {
		delete(w.joined, n.of)
	}
	return n.Change, true
}

func (f *Fleet) tellLocked(c Change, of *member) {
	for w := range f.watchers {
		w.tell(c, of)
	}
}

func (w *watcher) tell(c Change, of *member) {
	if e := w.joined[of]; e != nil { // it leaves, and w does not know that it joined
		w.pending.Remove(e)
		delete(w.joined, of)
		return
	}
	e := w.pending.PushBack(news{c, of})
	if c.Gone == nil {
		w.joined[of] = e
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
