package writeloop

import (
	"errors"
	"net"
	"testing"
)

// A lastSink is a sink that carries messages, and notes that nothing follows.
type lastSink struct {
	sink
	ended int
}

func (*lastSink) Protocol() string                  { return "" }
func (*lastSink) NextMessage(int) (int, error)      { return 0, nil }
func (s *lastSink) CloseWrite() error               { return s.WriteLast() }
func (s *lastSink) WriteMessages(m ...[]byte) error { return s.WriteLast(m...) }

func (s *lastSink) WriteLast(messages ...[]byte) error {
	s.ended++
	for _, m := range messages {
		if _, err := s.write(m); err != nil {
			return err
		}
	}
	return nil
}

// A closingSink is a sink without messages that notes that nothing follows.
type closingSink struct {
	sink
	ended int
}

func (s *closingSink) CloseWrite() error {
	s.ended++
	return nil
}

// TestWriteLast has a session end with something to write, and with nothing.
func TestWriteLast(t *testing.T) {
	for _, last := range []string{"goodbye", ""} {
		writes := min(len(last), 1)
		messages, stream, mere := new(lastSink), new(closingSink), new(sink)
		if said := sayLast(t, messages, last); !said || messages.ended != 1 {
			t.Errorf("%q as a message: said %t, in %d calls, want true in one", last, said, messages.ended)
		}
		messages.want(t, last, writes)
		if said := sayLast(t, stream, last); !said || stream.ended != 1 {
			t.Errorf("%q on a stream: said %t, in %d calls, want true in one", last, said, stream.ended)
		}
		stream.want(t, last, writes)
		if said := sayLast(t, mere, last); said {
			t.Errorf("%q: a connection without CloseWrite has said that nothing follows", last)
		}
		mere.want(t, last, writes)
	}
}

// sayLast has a session say something last, and then more, which must not be written.
func sayLast(t *testing.T, conn net.Conn, last string) (said bool) {
	s := newTalker(t, conn)
	s.do(func() {
		if last != "" {
			s.said = append(s.said, last)
		}
		said = s.WriteLast()
		if !s.Sent(s.Mark()) || s.Busy() || !s.Muted() || s.flushed != 1 {
			t.Errorf("after %q: sent %t, busy %t, muted %t, flushed %d times", last, s.Sent(s.Mark()), s.Busy(), s.Muted(), s.flushed)
		}
	})
	s.sayNow("late")
	s.do(func() {
		if s.WriteLast() {
			t.Error("the last is said twice")
		}
	})
	return said
}

// TestWriteLastFails has a connection take nothing.
func TestWriteLastFails(t *testing.T) {
	failed := errors.New("no room")
	for _, conn := range []net.Conn{&lastSink{sink: sink{err: failed}}, &closingSink{sink: sink{err: failed}}} {
		s := newTalker(t, conn)
		s.do(func() {
			s.said = append(s.said, "goodbye")
			if s.WriteLast() || !s.Muted() || len(s.failed) != 1 || s.failed[0] != failed {
				t.Errorf("%T: the failures are %v, want %v", conn, s.failed, failed)
			}
		})
	}
}
