package writeloop

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A talker is a session with output.
type talker struct {
	Loop
	mu      sync.Mutex
	wg      sync.WaitGroup
	said    []string // and not taken
	next    string   // is said when something is taken
	over    bool
	took    []time.Duration
	flushed int
	failed  []error
}

type words []string

func (w words) Messages() [][]byte { return [][]byte{[]byte(strings.Join(w, ""))} }
func (words) Release()             {}

func (t *talker) Take() (Batch, bool) {
	w := words(t.said)
	t.said = nil
	if t.next != "" {
		t.said, t.next = append(t.said, t.next), ""
		t.Flush()
	}
	return w, len(w) > 0
}

func (t *talker) Over() bool               { return t.over }
func (t *talker) Heard() uint64            { return 0 }
func (t *talker) Took(after time.Duration) { t.took = append(t.took, after) }
func (t *talker) Flushed()                 { t.flushed++ }
func (t *talker) Failed(err error)         { t.failed = append(t.failed, err) }

const linger = 3 * time.Second

func newTalker(t *testing.T, conn net.Conn) *talker {
	s := new(talker)
	s.Init(s, &s.mu, &s.wg, conn, linger)
	t.Cleanup(func() {
		s.do(func() { s.over = true; s.Wake() })
		s.wg.Wait()
	})
	return s
}

func (t *talker) do(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

// say queues something for the goroutine.
func (t *talker) say(what string) {
	t.do(func() { t.said = append(t.said, what); t.Flush() })
}

// sayNow writes something at once, and returns whether that unlocked the lock.
func (t *talker) sayNow(what string) (unlocked bool) {
	t.do(func() {
		t.Hold()
		t.said = append(t.said, what)
		t.Flush()
		unlocked = t.Release()
	})
	return unlocked
}

// A sink is a connection that takes writes when it may.
type sink struct {
	net.Conn
	mu      sync.Mutex
	got     bytes.Buffer
	writes  int
	err     error
	blocked chan struct{} // Write waits until it is closed
}

func (s *sink) Write(p []byte) (int, error) {
	if s.blocked != nil {
		<-s.blocked
	}
	return s.write(p)
}

func (s *sink) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.got.Write(p)
	return len(p), s.err
}

// A promptSink has room for a limited number of bytes at once.
type promptSink struct {
	sink
	room   int
	kept   []byte
	during func() // is called by WriteNow
}

func (*promptSink) Protocol() string { return "" }

func (s *promptSink) WriteNow(messages ...[]byte) (kept bool, err error) {
	if s.during != nil {
		s.during()
	}
	all := bytes.Join(messages, nil)
	n := min(len(all), s.room)
	s.kept = append(s.kept, all[n:]...)
	_, err = s.write(all[:n])
	return len(s.kept) > 0, err
}

func (s *promptSink) Flush() error {
	_, err := s.Write(s.kept)
	s.kept = nil
	return err
}

func (s *sink) want(t *testing.T, got string, writes int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.got.String() != got || s.writes != writes {
		t.Errorf("%q in %d writes, want %q in %d", s.got.String(), s.writes, got, writes)
	}
}

// TestTogether expects one write for everything that is queued while the carrier is busy.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &sink{blocked: make(chan struct{})}
		s := newTalker(t, conn)
		s.say("a")
		synctest.Wait() // a is being written
		time.Sleep(time.Minute)
		s.do(func() {
			if stuck := s.Stuck(); stuck != time.Minute {
				t.Errorf("stuck for %v, want a minute", stuck)
			}
		})
		s.say("b")
		s.say("c")
		s.do(func() {
			if !s.Busy() {
				t.Error("not busy")
			}
		})
		close(conn.blocked)
		synctest.Wait()
		conn.want(t, "abc", 2)
		s.do(func() {
			if s.Busy() || s.Stuck() != 0 || s.flushed != 1 || s.took[0] != time.Minute {
				t.Errorf("busy %v, stuck for %v, flushed %d times, took %v", s.Busy(), s.Stuck(), s.flushed, s.took)
			}
		})
	})
}

// TestFailure expects Failed to be called once, and nothing to be written after it.
func TestFailure(t *testing.T) {
	broken := errors.New("broken")
	for name, say := range map[string]func(*talker){
		"goroutine": func(s *talker) { s.say("a") },
		"at once":   func(s *talker) { s.sayNow("a") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &promptSink{room: 100, sink: sink{err: broken}}
				s := newTalker(t, conn)
				say(s)
				synctest.Wait()
				s.say("b")
				s.sayNow("c")
				synctest.Wait()
				conn.want(t, "a", 1)
				s.do(func() {
					if len(s.failed) != 1 || s.failed[0] != broken || !s.Muted() {
						t.Errorf("told of %v, muted %v", s.failed, s.Muted())
					}
				})
			})
		})
	}
}

// TestPrompt lets callers write themselves.
func TestPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &promptSink{room: 3}
		s := newTalker(t, conn)
		if !s.sayNow("abc") {
			t.Error("it is not written at once")
		}
		conn.want(t, "abc", 1)
		s.do(func() {
			if s.running || s.flushed != 1 {
				t.Errorf("there is a goroutine: %v, flushed %d times", s.running, s.flushed)
			}
		})

		conn.blocked = make(chan struct{})
		s.sayNow("defg") // the rest is for the goroutine
		synctest.Wait()
		if s.sayNow("h") { // which is at it
			t.Error("two write at a time")
		}
		conn.want(t, "abcdef", 2)
		close(conn.blocked)
		synctest.Wait()
		conn.want(t, "abcdefgh", 4)

		conn.during = func() { // others have something to say meanwhile
			s.say("j")
			if s.sayNow("k") {
				t.Error("two write at a time")
			}
		}
		s.sayNow("i")
		synctest.Wait()
		conn.want(t, "abcdefghijk", 6)
	})
}

// TestPromptTakesTurns expects output that Take makes room for to be written after it,
// whoever writes.
func TestPromptTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &promptSink{room: 100}
		s := newTalker(t, conn)
		s.next = "b"
		conn.during = func() {
			synctest.Wait() // nobody else writes now
			conn.want(t, "", 0)
		}
		s.sayNow("a")
		synctest.Wait()
		conn.want(t, "ab", 2)
	})
}

// TestHold expects one write for everything since Hold, if there is anything.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &sink{}
		s := newTalker(t, conn)
		s.do(func() {
			s.Hold()
			s.Release()
		})
		synctest.Wait()
		conn.want(t, "", 0)
		s.do(func() {
			s.Hold()
			for _, what := range []string{"a", "b"} {
				s.said = append(s.said, what)
				s.Flush()
			}
			if s.Release() {
				t.Error("a carrier that cannot do that is written at once")
			}
		})
		synctest.Wait()
		conn.want(t, "ab", 1)
	})
}

// TestHeldIsBusy unlocks the lock between Hold and Release: a caller that waits for all
// output must wait for that too, unless nothing may be written any more.
func TestHeldIsBusy(t *testing.T) {
	for _, muted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			conn := &sink{}
			s := newTalker(t, conn)
			s.do(func() {
				s.Hold()
				s.said = append(s.said, "a")
				s.Flush()
			})
			s.do(func() {
				if !s.Busy() {
					t.Error("not busy before Release")
				}
				if muted {
					s.Mute()
				}
				s.Release()
			})
			synctest.Wait()
			if want := map[bool]string{false: "a"}[muted]; conn.got.String() != want {
				t.Errorf("%q was written, want %q", conn.got.String(), want)
			}
			s.do(func() {
				if s.Busy() || s.flushed != 1 {
					t.Errorf("busy %t, flushed %d times", s.Busy(), s.flushed)
				}
			})
		})
	}
}

// TestMute expects the write under way to be finished.
func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &sink{blocked: make(chan struct{})}
		s := newTalker(t, conn)
		s.say("a")
		synctest.Wait()
		s.say("b")
		s.do(s.Mute)
		close(conn.blocked)
		synctest.Wait()
		s.say("c")
		synctest.Wait()
		conn.want(t, "a", 1)
		s.do(func() {
			if s.Busy() {
				t.Error("busy")
			}
		})
	})
}

// TestRetirement expects the goroutine to stay while there is work now and then.
func TestRetirement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTalker(t, &sink{})
		running := func() (running bool) {
			synctest.Wait()
			s.do(func() { running = s.running })
			return running
		}
		for range 2 {
			for range 8 {
				s.say("a")
				if !running() {
					t.Error("the goroutine has gone while there was work")
				}
				time.Sleep(retirement / 2)
			}
			time.Sleep(2 * retirement)
			if running() {
				t.Error("an idle session keeps its goroutine")
			}
		}
	})
}

// TestRetiresLater queues something just when the goroutine is told to end.
func TestRetiresLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &sink{}
		s := newTalker(t, conn)
		s.say("a")
		synctest.Wait()
		s.do(func() {
			s.retirement.Stop()
			s.retired = true
			s.work.Signal()
			s.said = append(s.said, "b")
			s.Flush()
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		conn.want(t, "ab", 2)
		s.do(func() {
			if s.running {
				t.Error("an idle session keeps its goroutine")
			}
		})
	})
}

// TestRetiresBeside expects the goroutine, if told to end while a caller writes, not to
// write too.
func TestRetiresBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &promptSink{room: 100}
		s := newTalker(t, conn)
		s.say("a")
		synctest.Wait()
		conn.during = func() {
			time.Sleep(time.Minute)
			s.do(func() {
				if s.running || s.flushing {
					t.Errorf("running %v, flushing %v", s.running, s.flushing)
				}
			})
		}
		s.sayNow("b")
		synctest.Wait()
		conn.want(t, "ab", 2)
	})
}

// TestOver expects the end of the session to end the goroutine, and later output not to
// be written.
func TestOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &promptSink{room: 100}
		s := newTalker(t, conn)
		s.say("a")
		synctest.Wait()
		s.do(func() { s.over = true; s.Wake() })
		s.wg.Wait()
		s.say("b")
		if s.sayNow("c") {
			t.Error("what has ended is written")
		}
		conn.want(t, "a", 1)
	})
}
