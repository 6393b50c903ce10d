package recv

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A wire is a connection of small messages, each for one stream, as whoever has the role
// sees it.
type wire struct {
	site     *site
	messages chan *testStream // whom they are for; nil for one that is special

	mu     sync.Mutex
	next   []*testStream // have arrived
	stop   chan struct{} // closed by Interrupt
	driven int           // messages that a Read took
}

func (w *wire) ReadNow([]byte) int { return 0 }

func (w *wire) Arrive(wait bool) bool {
	w.mu.Lock()
	if w.stop == nil {
		w.stop = make(chan struct{})
	}
	stop, there := w.stop, len(w.next) > 0
	w.mu.Unlock()
	if there || !wait {
		return there
	}
	select {
	case st, ok := <-w.messages:
		if !ok {
			return false
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.next = append(w.next, st)
		return true
	case <-stop:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stop = nil
		return false
	}
}

func (w *wire) Interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.stop)
}

func (w *wire) TakeArrived() bool {
	w.mu.Lock()
	st := w.next[0]
	if st == nil {
		w.mu.Unlock()
		return false // it is left for the keeper
	}
	w.next = w.next[1:]
	w.driven++
	w.mu.Unlock()
	st.fill(1)
	return true
}

// keep is the session's reader.
func (w *wire) keep() {
	for {
		w.mu.Lock()
		var st *testStream
		there := len(w.next) > 0
		if there {
			st, w.next = w.next[0], w.next[1:]
		}
		w.mu.Unlock()
		if !there {
			if st, there = <-w.messages; !there {
				return
			}
		}
		if st != nil {
			st.fill(1)
		}
		w.site.budget.Role.Lend(true)
	}
}

// taken returns how many messages a Read has taken since the last call.
func (w *wire) taken() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.driven = 0 }()
	return w.driven
}

// lending runs f with a session whose keeper has lent the role to the streams' reads.
// Nobody reads f's streams yet.
func lending(t *testing.T, f func(t *testing.T, w *wire, a, b *testStream)) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(64*mib, false)
		w := &wire{site: s, messages: make(chan *testStream)}
		s.budget.Role.Init(w, w)
		a, b := s.open(), s.open()
		var all sync.WaitGroup
		all.Go(w.keep)
		for range leastPrice + 1 {
			if w.ask(t, a); w.taken() > 0 {
				t.Fatal("a Read drives before the keeper knows that it pays")
			}
		}
		if w.ask(t, a); w.taken() != 1 {
			t.Fatal("the keeper does not lend the role")
		}
		f(t, w, a, b)
		s.budget.Role.Keep()
		close(w.messages)
		all.Wait()
		if n := s.budget.Role.waiting.Load(); n != 0 {
			t.Errorf("%d calls seem to wait", n)
		}
		s.budget.Close()
	})
}

// ask sends a message to st, which waits for it.
func (w *wire) ask(t *testing.T, st *testStream) {
	t.Helper()
	read := start(st)
	synctest.Wait()
	w.messages <- st
	if err := <-read; err != nil {
		t.Fatal("Read:", err)
	}
	synctest.Wait() // the keeper has noticed that nobody else waits
}

// start starts a Read of one byte.
func start(st *testStream) (read chan error) {
	read = make(chan error, 1)
	go func() {
		_, err := st.Read(make([]byte, 1))
		read <- err
	}()
	return read
}

// atOnce expects a Read to end with want, without a wait for the keeper's timer.
func atOnce(t *testing.T, what string, read chan error, want error) {
	t.Helper()
	began := time.Now()
	err := <-read
	if took := time.Since(began); took > 0 || !errors.Is(err, want) {
		t.Errorf("%s: %v after %v, want %v", what, err, took, want)
	}
}

// TestReadDrives asks and answers on one stream: the Reads must take the messages.
func TestReadDrives(t *testing.T) {
	lending(t, func(t *testing.T, w *wire, a, _ *testStream) {
		for range 100 {
			w.ask(t, a)
		}
		if n := w.taken(); n != 100 {
			t.Errorf("the Reads took %d messages of 100", n)
		}
		if n, err := drained(w, a); n != 1 || err != nil {
			t.Errorf("WriteTo takes %d messages, %v, want 1", n, err)
		}
	})
}

// drained reads one message with a WriteTo, and returns how many messages a call has
// taken.
func drained(w *wire, st *testStream) (int, error) {
	written := make(chan error, 1)
	go func() {
		_, err := st.WriteTo(io.Discard)
		written <- err
	}()
	synctest.Wait()
	w.messages <- st
	synctest.Wait()
	st.Lock()
	st.EndLocked(Finished, nil)
	st.Unlock()
	err := <-written
	return w.taken(), err
}

// deliver sends a message, which somebody must take at once.
func (w *wire) deliver(t *testing.T, st *testStream) {
	t.Helper()
	began := time.Now()
	w.messages <- st
	if took := time.Since(began); took > 0 {
		t.Errorf("nobody takes a message for %v", took)
	}
}

// TestDrivingHoldsUpNobody has a Read drive, and others wait beside it. Each must get what
// arrives, and end when it has to, whatever the one that drives does.
func TestDrivingHoldsUpNobody(t *testing.T) {
	for name, f := range map[string]func(t *testing.T, w *wire, a, b *testStream){
		"drives for others": func(t *testing.T, w *wire, a, b *testStream) {
			first, second := start(a), start(b)
			synctest.Wait()
			w.deliver(t, b)
			atOnce(t, "the other", second, nil)
			w.deliver(t, a)
			atOnce(t, "the one that drives", first, nil)
		},
		"has its bytes": func(t *testing.T, w *wire, a, b *testStream) {
			first := start(a)
			synctest.Wait()
			second := start(b)
			synctest.Wait()
			w.deliver(t, a)
			atOnce(t, "the one that drives", first, nil)
			w.deliver(t, b)
			atOnce(t, "the other", second, nil)
		},
		"nobody comes": func(t *testing.T, w *wire, a, b *testStream) {
			began := time.Now()
			w.messages <- b // only the keeper can take it
			if took := time.Since(began); took > 2*idle {
				t.Errorf("the keeper is back after %v", took)
			}
			atOnce(t, "later", start(b), nil)
			if n := w.taken(); n > 0 {
				t.Errorf("a Read took %d messages", n)
			}
		},
		"deadline": func(t *testing.T, w *wire, a, b *testStream) {
			a.SetReadDeadline(time.Now().Add(time.Hour))
			first, second := start(a), start(b)
			synctest.Wait()
			time.Sleep(time.Hour)
			atOnce(t, "at the deadline", first, os.ErrDeadlineExceeded)
			w.deliver(t, b)
			atOnce(t, "the other", second, nil)
		},
		"deadline moves": func(t *testing.T, w *wire, a, b *testStream) {
			first := start(a)
			synctest.Wait()
			a.SetReadDeadline(time.Now().Add(time.Minute))
			synctest.Wait()
			a.SetReadDeadline(time.Unix(1, 0))
			atOnce(t, "after the deadline", first, os.ErrDeadlineExceeded)
			w.messages <- b
			atOnce(t, "the other", start(b), nil)
		},
		"closed": func(t *testing.T, w *wire, a, b *testStream) {
			first := start(a)
			synctest.Wait()
			a.Lock()
			a.EndLocked(Discarding, net.ErrClosed)
			a.Unlock()
			atOnce(t, "after Close", first, net.ErrClosed)
			w.deliver(t, b)
			atOnce(t, "the other", start(b), nil)
		},
		"closed while it is lent": func(t *testing.T, w *wire, a, b *testStream) {
			a.Lock()
			a.EndLocked(Discarding, net.ErrClosed)
			a.Unlock()
			w.deliver(t, b)
			atOnce(t, "the other", start(b), nil)
		},
		"somebody waits for something else": func(t *testing.T, w *wire, a, b *testStream) {
			var mu sync.Mutex
			c := sync.NewCond(&mu)
			credited := make(chan struct{})
			go func() {
				mu.Lock()
				w.site.budget.Role.Await(c)
				mu.Unlock()
				close(credited)
			}()
			synctest.Wait()
			w.deliver(t, nil) // the credit
			mu.Lock()
			c.Broadcast()
			mu.Unlock()
			<-credited
		},
		"special": func(t *testing.T, w *wire, a, b *testStream) {
			first := start(a)
			synctest.Wait()
			w.deliver(t, nil)
			w.deliver(t, a)
			atOnce(t, "the one that drove", first, nil)
			if n := w.taken(); n > 0 {
				t.Errorf("the Reads took %d messages", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { lending(t, f) })
	}
}

// TestOnlyOneReadDrives asks on two streams in turn: the keeper must not lend the role,
// because whoever drove would have to wake the other.
func TestOnlyOneReadDrives(t *testing.T) {
	lending(t, func(t *testing.T, w *wire, a, b *testStream) {
		time.Sleep(3 * idle) // the keeper takes the role back
		for range 100 {
			w.ask(t, a)
			w.ask(t, b)
		}
		if n := w.taken(); n > 0 {
			t.Errorf("the Reads took %d messages", n)
		}
	})
}

// TestLendingPays expects the keeper to lend the role ever more seldom if nobody takes it.
func TestLendingPays(t *testing.T) {
	lending(t, func(t *testing.T, w *wire, a, _ *testStream) {
		before := 0
		for range 5 {
			time.Sleep(3 * idle) // nobody takes it
			asked := 0
			for w.taken() == 0 {
				w.ask(t, a)
				asked++
			}
			if asked <= before {
				t.Errorf("the role is lent after %d messages, before after %d", asked, before)
			}
			before = asked
		}
	})
}
