package writeloop

import (
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
)

// leave queues something, waits until it has left, and returns how long that took, and
// the result of Await.
func (t *talker) leave(what string, giveUp func() error) (took time.Duration, err error) {
	began := time.Now()
	t.do(func() {
		t.said = append(t.said, what)
		t.Flush()
		cond := sync.NewCond(&t.mu)
		err = t.Await(t.Mark(), cond, giveUp)
	})
	return time.Since(began), err
}

func never() error { return nil }

// TestAwait expects Await to return when the carrier has everything up to the mark,
// whoever writes it.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &promptSink{room: 3}
		s := newTalker(t, conn)
		s.do(func() {
			if s.Mark() != 0 || !s.Sent(s.Mark()) {
				t.Error("nothing was said, and has not left")
			}
		})
		if _, err := s.leave("ab", never); err != nil {
			t.Error(err)
		}
		conn.want(t, "ab", 1)
		s.sayNow("cde")
		s.do(func() {
			if !s.Sent(s.Mark()) {
				t.Error("what was written at once has not left")
			}
		})
		conn.blocked = make(chan struct{})
		s.sayNow("fghi") // of which the carrier keeps a part
		var all sync.WaitGroup
		for range 3 { // what they say leaves after that, and together
			all.Go(func() {
				if took, err := s.leave("j", never); err != nil || took != time.Second {
					t.Errorf("%v after %v, want nil after a second", err, took)
				}
			})
		}
		synctest.Wait()
		s.do(func() {
			if s.Sent(s.Mark() - 1) {
				t.Error("what the carrier keeps has left")
			}
		})
		time.Sleep(time.Second)
		close(conn.blocked)
		all.Wait()
		conn.want(t, "abcdefghijjj", 5)
	})
}

// TestAwaitNothing expects Await not to wait for a batch that turns out to be empty.
func TestAwaitNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTalker(t, &sink{})
		s.do(func() {
			s.Flush()
			if err := s.Await(s.Mark(), sync.NewCond(&s.mu), never); err != nil {
				t.Error(err)
			}
			s.departures.begun, s.departures.ended = 1<<31, 1<<31
			if !s.Sent(0) {
				t.Error("after many batches, nothing has not left")
			}
		})
	})
}

// TestAwaitStuck expects Await to give up when the carrier has been stuck for too long.
// Later callers must not wait any longer. When the carrier goes on, everything must be as
// before.
func TestAwaitStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &sink{blocked: make(chan struct{})}
		s := newTalker(t, conn)
		var all sync.WaitGroup
		for _, after := range []time.Duration{0, 0, time.Second, linger - 1, linger, time.Hour} {
			all.Go(func() {
				time.Sleep(after)
				if took, err := s.leave("a", never); !errors.Is(err, mux.ErrUnsent) || took != max(linger-after, 0) {
					t.Errorf("%v later: %v after %v, want mux.ErrUnsent after %v", after, err, took, max(linger-after, 0))
				}
			})
		}
		all.Wait()
		close(conn.blocked)
		synctest.Wait()
		if took, err := s.leave("b", never); err != nil || took != 0 {
			t.Errorf("when the carrier goes on: %v after %v", err, took)
		}
		conn.want(t, "aaaaaab", 3)

		conn.blocked = make(chan struct{})
		all.Go(func() { time.Sleep(linger - 1); conn.blocked <- struct{}{} })
		if took, err := s.leave("c", never); err != nil || took != linger-1 {
			t.Errorf("on a carrier that is slow: %v after %v", err, took)
		}
		all.Wait()
	})
}

// TestAwaitGivesUp expects Await to return when its caller gives up, when the carrier
// fails, and at the session's end.
func TestAwaitGivesUp(t *testing.T) {
	enough := errors.New("enough")
	for name, end := range map[string]func(s *talker, conn *sink, cond *sync.Cond){
		"caller":  func(s *talker, _ *sink, cond *sync.Cond) { s.do(cond.Broadcast) },
		"failure": func(_ *talker, conn *sink, _ *sync.Cond) { conn.err = net.ErrClosed; close(conn.blocked) },
		"mute":    func(s *talker, _ *sink, _ *sync.Cond) { s.do(s.Mute) },
		"end":     func(s *talker, _ *sink, _ *sync.Cond) { s.do(func() { s.over = true; s.Wake() }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &sink{blocked: make(chan struct{})}
				s := newTalker(t, conn)
				s.say("a")
				synctest.Wait()
				ended, cond := false, sync.NewCond(&s.mu)
				var all sync.WaitGroup
				all.Go(func() {
					s.do(func() {
						err := s.Await(s.Mark(), cond, func() error {
							if ended {
								return enough
							}
							return nil
						})
						if err != enough {
							t.Errorf("%v, want %v", err, enough)
						}
					})
				})
				synctest.Wait()
				began := time.Now()
				s.do(func() { ended = true })
				end(s, conn, cond)
				all.Wait()
				if took := time.Since(began); took != 0 {
					t.Errorf("it takes %v", took)
				}
				if name != "failure" {
					close(conn.blocked)
				}
			})
		})
	}
}
