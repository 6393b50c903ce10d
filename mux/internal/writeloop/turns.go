package writeloop

import "slices"

// Turns are who waits for room, in turn. The zero value is nobody.
type Turns[W any] struct{ waiting []turn[W] }

type turn[W any] struct {
	who   W
	waits *bool
}

// Await gives who a turn, which is the last, unless waits, which is his, is true.
func (t *Turns[W]) Await(who W, waits *bool) {
	if !*waits {
		*waits = true
		t.waiting = append(t.waiting, turn[W]{who, waits})
	}
}

// Serve gives room to each in turn while there is some. serve reports whether he wants
// another turn.
func (t *Turns[W]) Serve(room func() bool, serve func(W) (more bool)) {
	served := 0
	for served < len(t.waiting) && room() {
		next := t.waiting[served]
		served++
		*next.waits = false
		if serve(next.who) {
			t.Await(next.who, next.waits)
		}
	}
	t.waiting = slices.Delete(t.waiting, 0, served)
}

// Leave takes back the turn of who waits no more, if waits says that he has one.
func (t *Turns[W]) Leave(waits *bool) {
	for i := len(t.waiting) - 1; *waits; i-- { // not one that is being served
		if t.waiting[i].waits == waits {
			*waits = false
			t.waiting = slices.Delete(t.waiting, i, i+1)
		}
	}
}
