package writeloop

import (
	"runtime"
	"testing"
)

// sayLate writes something that nobody is in a hurry to get.
func (t *talker) sayLate(what string) {
	t.do(func() {
		t.Hold()
		t.said = append(t.said, what)
		t.Flush()
		t.ReleaseLate()
	})
}

// TestReleaseLate expects what is written when ReleaseLate returns, however it got there.
func TestReleaseLate(t *testing.T) {
	settled := func(t *testing.T, s *talker, flushed int) {
		t.Helper()
		s.do(func() {
			if s.Busy() || s.flushed < flushed || !s.Sent(s.Mark()) {
				t.Errorf("busy %t, flushed %d times, sent %t", s.Busy(), s.flushed, s.Sent(s.Mark()))
			}
		})
	}
	t.Run("alone", func(t *testing.T) {
		conn := &promptSink{room: 100}
		s := newTalker(t, conn)
		s.sayLate("a")
		conn.want(t, "a", 1)
		settled(t, s, 1)
	})
	t.Run("nothing", func(t *testing.T) {
		conn := &promptSink{room: 100}
		s := newTalker(t, conn)
		s.do(func() { s.Hold(); s.ReleaseLate() })
		conn.want(t, "", 0)
		settled(t, s, 0)
	})
	t.Run("muted", func(t *testing.T) {
		conn := &promptSink{room: 100}
		s := newTalker(t, conn)
		s.do(s.Mute)
		s.sayLate("a")
		conn.want(t, "", 0)
		s.do(func() {
			if s.Busy() || s.flushed == 0 {
				t.Error("busy, and nobody is told that nothing will be written")
			}
		})
	})
	t.Run("taken along", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the other goroutine runs in turn
		for range 100 {                                 // the runtime may choose another moment
			conn := &promptSink{room: 100}
			s := newTalker(t, conn)
			s.heard = 1 // so that sayNow does not let others go first
			said, busy := make(chan struct{}), false
			go func() {
				defer close(said)
				s.do(func() { busy = s.Busy() })
				s.sayNow("b")
			}()
			s.sayLate("a")
			<-said
			if conn.writes > 1 {
				continue
			}
			conn.want(t, "ab", 1)
			settled(t, s, 2)
			if !busy {
				t.Error("not busy while others go first: what waits for all output would miss it")
			}
			return
		}
		t.Error("nobody ever takes the output along")
	})
}
