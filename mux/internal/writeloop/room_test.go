package writeloop

import (
	"testing"
	"time"
)

// TestRoom expects the room to grow while the carrier takes large writes quickly, and
// only then.
func TestRoom(t *testing.T) {
	large := func(l *Loop, n int, after time.Duration) {
		for range n {
			l.room.took(l.Room(), after)
		}
	}
	quickly := func(l *Loop, n int) { large(l, n, quick/2) }
	for _, test := range []struct {
		name string
		do   func(l *Loop)
		want int
	}{
		{"at first", func(*Loop) {}, LeastRoom},
		{"not yet", func(l *Loop) { quickly(l, growAfter-1) }, LeastRoom},
		{"twice", func(l *Loop) { quickly(l, growAfter) }, 2 * LeastRoom},
		{"most", func(l *Loop) { quickly(l, 10*growAfter) }, MostRoom},
		{"slow", func(l *Loop) { large(l, 10*growAfter, 5*quick) }, LeastRoom},
		{"slow for once", func(l *Loop) { quickly(l, 10*growAfter); large(l, 1, 5*quick) }, 2 * LeastRoom},
		{"slow from then on", func(l *Loop) { quickly(l, 10*growAfter); large(l, 2, 5*quick) }, LeastRoom},
		{"a small write", func(l *Loop) { quickly(l, 10*growAfter); l.Writes(smallWrite) }, LeastRoom},
		{"a larger write", func(l *Loop) { quickly(l, 10*growAfter); l.Writes(smallWrite + 1) }, MostRoom},
		{"small writes again and again", func(l *Loop) {
			for range 10 {
				quickly(l, growAfter-1)
				l.Writes(1)
			}
		}, LeastRoom},
		{"batches that need no room", func(l *Loop) {
			for range 10 * growAfter {
				l.room.took(LeastRoom/4, quick/100)
			}
		}, LeastRoom},
	} {
		var l Loop
		if test.do(&l); l.Room() != test.want {
			t.Errorf("%s: room for %d bytes, want %d", test.name, l.Room(), test.want)
		}
	}
}

// TestReserve moves a buffer only if it has too little room, and then at most once.
func TestReserve(t *testing.T) {
	var l Loop
	buf := make([]byte, 100)
	if got := l.Reserve(buf, 10); cap(got) != cap(buf) {
		t.Errorf("for 10 bytes: %d, want %d as before", cap(got), cap(buf))
	}
	buf = l.Reserve(buf, largeWrite)
	if len(buf) != 100 || cap(buf) < l.Room() {
		t.Errorf("for a large write: %d of %d bytes, want 100 and all the room, %d", len(buf), cap(buf), l.Room())
	}
	if got := l.Reserve(buf, l.Room()-len(buf)); &got[0] != &buf[0] {
		t.Error("moved again, although there was room")
	}
	if cap(buf) > MostBuffer {
		t.Errorf("%d bytes, more than MostBuffer", cap(buf))
	}
}
