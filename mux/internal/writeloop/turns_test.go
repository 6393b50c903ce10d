package writeloop

import (
	"strings"
	"testing"
)

// TestTurns serves one waiter after the other.
func TestTurns(t *testing.T) {
	type waiter struct {
		name  string
		wants int
		waits bool
	}
	var turns Turns[*waiter]
	var served strings.Builder
	room := 0
	serve := func() {
		turns.Serve(func() bool { return room > 0 }, func(w *waiter) bool {
			room--
			w.wants--
			served.WriteString(w.name)
			return w.wants > 0
		})
	}
	all := []*waiter{{name: "a", wants: 3}, {name: "b", wants: 1}, {name: "c", wants: 2}}
	for _, w := range all {
		turns.Await(w, &w.waits)
		turns.Await(w, &w.waits) // has one
	}
	serve()
	for range 3 {
		room = 2
		serve()
	}
	if got := served.String(); got != "abcaca" || len(turns.waiting) > 0 || room != 0 {
		t.Errorf("served %q, want abcaca; %d wait, room for %d", got, len(turns.waiting), room)
	}
	for _, w := range all {
		if w.waits {
			t.Errorf("%s still waits", w.name)
		}
	}
}

// TestLeave cancels turns before and while others are served.
func TestLeave(t *testing.T) {
	var turns Turns[string]
	waits := map[string]*bool{}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		waits[name] = new(bool)
		turns.Await(name, waits[name])
	}
	turns.Cancel(waits["b"])
	turns.Cancel(waits["b"]) // no longer waits
	var served strings.Builder
	turns.Serve(func() bool { return served.Len() < 6 }, func(name string) bool {
		served.WriteString(name)
		switch name {
		case "c":
			turns.Cancel(waits["d"])
			turns.Await("a", waits["a"])
			turns.Cancel(waits["a"]) // who has been served once
		case "e":
			turns.Await("b", waits["b"])
		}
		return name == "c"
	})
	if got := served.String(); got != "acecbc" {
		t.Errorf("served %q, want acecbc", got)
	}
}
