package recv

import (
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
)

// A site is a session's budget, and its streams.
type site struct {
	budget Budget

	mu      sync.Mutex
	streams []*testStream
}

// A testStream is the owner of a half.
type testStream struct {
	Pushed
	abandoned error
}

func (st *testStream) Extend(uint64, bool) {}

func (st *testStream) Abandon(err error) {
	st.Lock()
	defer st.Unlock()
	st.abandoned = err
	st.EndLocked(Discarding, err)
}

// newSite returns a session with a receive buffer of so many bytes. waits says whether
// its reader waits for memory.
func newSite(buffer int, waits bool) *site {
	s := new(site)
	config := mux.Config{ReceiveBuffer: buffer}.WithDefaults()
	s.budget.Init("test", &config, s, waits)
	return s
}

func (s *site) Shortest() time.Duration { return 0 }
func (s *site) Freed()                  {}
func (s *site) Waiting()                {}

func (s *site) Halves() []*Pushed {
	s.mu.Lock()
	defer s.mu.Unlock()
	halves := make([]*Pushed, len(s.streams))
	for i, st := range s.streams {
		halves[i] = &st.Pushed
	}
	return halves
}

func (s *site) open() *testStream {
	st := new(testStream)
	st.Init(&s.budget, st)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams = append(s.streams, st)
	return st
}

// source returns any number of bytes, but none without waiting.
type source struct{}

func (source) Read(p []byte) (int, error) { return len(p), nil }
func (source) ReadNow([]byte) int         { return 0 }

// fill lets n bytes arrive, as the session's reader does.
func (st *testStream) fill(n int) error {
	st.Lock()
	defer st.Unlock()
	_, err := st.FillLocked(source{}, n)
	return err
}

// why returns why the stream was abandoned, or nil.
func (st *testStream) why() error {
	st.Lock()
	defer st.Unlock()
	return st.abandoned
}

const kib, mib = 1 << 10, 1 << 20

// read reads the stream, n bytes each time, with pauses, until stop is closed.
func (st *testStream) read(n int, rest time.Duration, stop <-chan struct{}) {
	p := make([]byte, n)
	for {
		if _, err := io.ReadFull(st, p); err != nil {
			return
		}
		select {
		case <-time.After(rest):
		case <-stop:
			return
		}
	}
}

// TestReadersAreWaitedFor fills a small buffer with streams that are read in different
// ways. Streams that are read must never be abandoned; the others must be, soon.
func TestReadersAreWaitedFor(t *testing.T) {
	for _, test := range []struct {
		name      string
		n         int // bytes at a time
		rest      time.Duration
		abandoned bool
	}{
		{"steady", 64 * kib, 300 * time.Millisecond, false},
		{"small reads", 4 * kib, 20 * time.Millisecond, false},
		{"bursts", 64 * kib, 2 * time.Second, false},
		{"large bursts", 256 * kib, 2 * time.Second, false},
		{"trickle", 2 * kib, time.Second, true},
		{"drops", 100, 50 * time.Millisecond, true},
		{"never again", 64 * kib, time.Hour, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const streams, window = 16, 256 * kib
				s := newSite(streams*window/2, true)
				stop := make(chan struct{})
				for range streams {
					st := s.open()
					go st.read(test.n, test.rest, stop)
				}
				go func() { // the session's reader, whose peer fills all windows
					for {
						for _, st := range s.streams {
							st.Lock()
							more := min(st.allowed-st.received, 16*kib)
							st.Unlock()
							st.fill(int(more))
						}
						select {
						case <-stop:
							return
						case <-time.After(time.Millisecond):
						}
					}
				}()
				time.Sleep(30 * time.Second)
				abandoned := 0
				for _, st := range s.streams {
					if err := st.why(); err != nil {
						abandoned++
						if !errors.Is(err, mux.ErrReset) {
							t.Error(err)
						}
					}
				}
				if abandoned > 0 != test.abandoned {
					t.Errorf("%d of %d streams were abandoned", abandoned, streams)
				}
				if held := s.budget.Windows.Held.Load(); held > s.budget.limit {
					t.Errorf("%d bytes are held, of %d", held, s.budget.limit)
				}
				close(stop)
				for _, st := range s.streams {
					st.Abandon(io.ErrClosedPipe)
				}
				s.budget.Close()
			})
		})
	}
}

// TestAbandonedGoFirst puts a stream that is read beside many that are not: those must be
// shed within a second, and the stream must go on.
func TestAbandonedGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams = 16
		s := newSite(2*mib, true)
		reader := s.open()
		stop := make(chan struct{})
		go reader.read(4*kib, time.Millisecond, stop)
		began := time.Now()
		for range streams {
			st := s.open()
			if err := st.fill(256 * kib); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > 3*time.Second { // the buffer fills more than once
			t.Errorf("the session's reader waits for %v", took)
		}
		if err := reader.why(); err != nil {
			t.Errorf("the stream that is read: %v", err)
		}
		close(stop)
		for _, st := range s.streams {
			st.Abandon(io.ErrClosedPipe)
		}
		s.budget.Close()
	})
}

// TestAtLeastOnePiece expects a session with almost no memory to take something all the
// same.
func TestAtLeastOnePiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(10, true)
		st := s.open()
		stop := make(chan struct{})
		go st.read(1, time.Millisecond, stop)
		if err := st.fill(100); err != nil {
			t.Error(err)
		}
		close(stop)
		st.Abandon(io.ErrClosedPipe)
		s.budget.Close()
	})
}

// TestCloseWakesReader ends a session whose reader waits for memory.
func TestCloseWakesReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(64*kib, true)
		st := s.open()
		filled := make(chan struct{})
		go func() {
			defer close(filled)
			st.fill(256 * kib)
		}()
		synctest.Wait()
		s.budget.Close() // the stream may still be read
		<-filled
	})
}

// TestSleepIsNoRest stops the whole process for longer than any patience: its readers
// could not read meanwhile.
func TestSleepIsNoRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(Watch[string])
		unread := map[string]Progress{"unread": {Holds: 1}}
		w.Look(unread)
		time.Sleep(time.Minute)
		for range 2 {
			w.Look(unread)
		}
		if len(w.Abandoned()) != 0 {
			t.Error("a stream is abandoned at once after the process stood still")
		}
		for range patience/Interval + 1 {
			time.Sleep(Interval)
			w.Look(unread)
		}
		if len(w.Abandoned()) != 1 {
			t.Error("a stream that nobody reads is not abandoned")
		}
	})
}

// TestLateLooks keeps a process from the processor, so that each look and each read is late: a
// stream that is read once in six looks is not abandoned, and one that is
// not read is.
func TestLateLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(Watch[string])
		read, unread := Progress{Holds: 4 * kib}, Progress{Holds: 4 * kib}
		for n := range 40 {
			if n%6 == 0 && read.Consumed+kib < hardly {
				read.Consumed += kib
			}
			w.Look(map[string]Progress{"read": read, "unread": unread})
			abandoned := w.Abandoned()
			if slices.Contains(abandoned, "read") {
				t.Fatalf("look %d: a stream that is read is abandoned", n)
			}
			if n > 8 && len(abandoned) == 0 {
				t.Fatalf("look %d: a stream that nobody reads is not abandoned", n)
			}
			time.Sleep(5 * Interval)
		}
	})
}

// TestTinyFrames uses a peer that keeps to its credit but uses more memory than bytes. A
// session that cannot wait must shed.
func TestTinyFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(mib, false)
		for range 2000 {
			s.open().fill(1)
			if held := s.budget.Windows.Held.Load(); held > s.budget.limit {
				t.Fatalf("%d bytes are held, of %d", held, s.budget.limit)
			}
		}
		for _, st := range s.streams {
			st.Abandon(io.ErrClosedPipe)
		}
		s.budget.Close()
	})
}

// TestBurstSeenInTheMiddle starts a watch in the middle of a burst: what is read after
// that is no measure of the reader.
func TestBurstSeenInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(Watch[string])
		p := Progress{Consumed: 124 * kib, Holds: 192 * kib}
		look := func() {
			w.Look(map[string]Progress{"in bursts": p})
			if len(w.Abandoned()) != 0 {
				t.Fatalf("a reader is taken for slow that reads 64 KiB every 2 s, after %v", w.now)
			}
			time.Sleep(Interval)
		}
		look()
		for more := uint64(4 * kib); w.now < readWithin; more = 64 * kib {
			p.Consumed += more
			for range 2 * time.Second / Interval {
				look()
			}
		}
	})
}

// TestQuietStreamStays has a stream on which little arrives, and is read a moment later, beside
// streams that fill the memory and are read steadily. What is known of it from before memory
// became short is no reason to abandon it.
func TestQuietStreamStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams, delay, message = 16, 250 * time.Millisecond, 4 * kib
		s := newSite(streams*128*kib, true)
		quiet := s.open()
		stop := make(chan struct{})
		pass := func() { // a message, now and then
			quiet.fill(message)
			go func() {
				time.Sleep(delay)
				io.ReadFull(quiet, make([]byte, message))
			}()
		}
		for range 40 {
			pass()
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		for range streams {
			go s.open().read(64*kib, 300*time.Millisecond, stop)
		}
		pass()
		for last, began := time.Now(), time.Now(); time.Since(began) < 30*time.Second; time.Sleep(time.Millisecond) {
			if time.Since(last) >= time.Second {
				last = time.Now()
				pass()
			}
			for _, st := range s.streams[1:] {
				st.Lock()
				more := min(st.allowed-st.received, 16*kib)
				st.Unlock()
				st.fill(int(more))
			}
		}
		for i, st := range s.streams {
			if err := st.why(); err != nil {
				t.Errorf("stream %d: %v", i, err)
			}
		}
		close(stop)
		for _, st := range s.streams {
			st.Abandon(io.ErrClosedPipe)
		}
		s.budget.Close()
	})
}
