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

	// Gone is nil for a session that has joined. For one that has left it is the reason: the
	// same as [NotConnectedError.Cause]. A session leaves when it cannot be dialled any more;
	// one that drains still has connections.
	Gone error
}

// Watch yields the sessions in the fleet, and then each session that joins or leaves, until
// ctx ends. The fleet does not wait for the loop. It skips a session that has left before the
// loop got to it, so the number of sessions limits what a slow loop has yet to get.
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

// A watcher is a loop that gets changes. Guarded by Fleet.mu.
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

// next returns the next change for w.
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
	if e := w.joined[of]; e != nil { // it leaves before w knows that it joined
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
