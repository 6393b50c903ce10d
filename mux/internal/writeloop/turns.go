package writeloop

import "slices"

// Turns is a queue of waiters for room. The zero value is empty.
type Turns[W any] struct{ waiting []turn[W] }

type turn[W any] struct {
	w     W
	waits *bool
}

// Await gives w the last turn, unless *waits says that it has a turn already.
func (t *Turns[W]) Await(w W, waits *bool) {
	if !*waits {
		*waits = true
		t.waiting = append(t.waiting, turn[W]{w, waits})
	}
}

// Serve serves the waiters in order while there is room. serve reports whether its waiter
// wants another turn.
func (t *Turns[W]) Serve(room func() bool, serve func(W) (more bool)) {
	served := 0
	for served < len(t.waiting) && room() {
		next := t.waiting[served]
		served++
		*next.waits = false
		if serve(next.w) {
			t.Await(next.w, next.waits)
		}
	}
	t.waiting = slices.Delete(t.waiting, 0, served)
}

// Cancel removes the turn of a waiter that no longer waits, if *waits says that it has
// one.
func (t *Turns[W]) Cancel(waits *bool) {
	for i := len(t.waiting) - 1; *waits; i-- { // skips one that is being served
		if t.waiting[i].waits == waits {
			*waits = false
			t.waiting = slices.Delete(t.waiting, i, i+1)
		}
	}
}
