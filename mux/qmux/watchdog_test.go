package qmux

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux"
)

// write writes n bytes on a new stream. what says what the peer does to it.
func (s *session) write(t *testing.T, what byte, n int) error {
	t.Helper()
	_, err := open(t, s).Write(bytes.Repeat([]byte{what}, n))
	return err
}

// lose makes the peer stop streams while data is on its way until it could have lost more
// than half of its window, and returns how many that took.
func lose(t *testing.T, s *session) (stopped int) {
	t.Helper()
	for {
		wantReset(t, "Write", s.write(t, stops, 1<<20), 7)
		stopped++
		s.Mu.Lock()
		lost, fatal := s.flight.lost, s.flight.fatalLocked()
		s.Mu.Unlock()
		if lost > fatal {
			return stopped
		}
	}
}

// dry reports whether a Write waits for credit.
func dry(s *session) bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.dryLocked()
}

// awaitDry waits until a Write waits for credit, in a bubble.
func awaitDry(t *testing.T, s *session) {
	t.Helper()
	for !dry(s) {
		if s.Context().Err() != nil {
			t.Fatal("the session has ended")
		}
		time.Sleep(latency)
	}
}

// TestLostCredit uses a peer that loses credit until there is none. A Write that waits
// for it must fail, because the session ends, and both ends must learn why.
func TestLostCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &distant{forgets: true}
		s := meetDistant(t, p)
		stopped := lose(t, s)
		t.Logf("%d streams were stopped", stopped)
		if stopped < 10 {
			t.Errorf("%d streams were stopped, and all credit was lost", stopped)
		}
		writing := start(func() error { return s.write(t, reads, 10<<20) })
		awaitDry(t, s)
		since := time.Now()
		err := await(t, "Write", writing)
		if !errors.Is(err, mux.ErrSessionEnded) || !errors.Is(err, mux.ErrProtocol) || !strings.Contains(err.Error(), "no credit for 10s") {
			t.Errorf("write: error %v, want one that says that there is no credit", err)
		}
		if took := time.Since(since); took < creditPatience-latency || took > creditPatience+farewell {
			t.Errorf("the session has ended after %v", took)
		}
		p.done.Wait()
		if p.closed == nil || p.closed.code != protocolViolation {
			t.Errorf("the peer has been told %+v", p.closed)
		}
	})
}

// TestCreditIsLostSlowly loses credit while most data is read and counted. The session
// must end all the same.
func TestCreditIsLostSlowly(t *testing.T) {
	for _, size := range []int{10 << 10, 100 << 10, 700 << 10} {
		t.Run(fmt.Sprint(size, " bytes read between"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := meetDistant(t, &distant{forgets: true})
				var err error
				for rounds := 0; !errors.Is(err, mux.ErrSessionEnded); rounds++ {
					if rounds == 1000 {
						t.Fatal("no credit is lost")
					}
					if err = s.write(t, reads, size); err == nil {
						err = s.write(t, stops, 1<<20)
					}
				}
				if !strings.Contains(err.Error(), "no credit for 10s") {
					t.Errorf("write: error %v, want one that says that there is no credit", err)
				}
			})
		})
	}
}

// TestStoppedStreams expects a session to survive with a peer that counts what arrives,
// however many streams it stops.
func TestStoppedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := meetDistant(t, new(distant))
		for range 100 {
			wantReset(t, "Write", s.write(t, stops, 1<<20), 7)
		}
		if err := s.write(t, reads, 10<<20); err != nil {
			t.Error("write:", err)
		}
		s.Mu.Lock()
		defer s.Mu.Unlock()
		if s.flight.lost > s.flight.fatalLocked() {
			t.Errorf("%d bytes are taken for lost", s.flight.lost)
		}
	})
}

// TestSlowPeer uses a peer that does not read, and has stopped streams before, which it
// has counted. That is no loss, so it may take its time.
func TestSlowPeer(t *testing.T) {
	const most = 40
	for stopped := 0; stopped < most; stopped += most / long.Times(most) {
		t.Run(fmt.Sprint(stopped, " stopped"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := meetDistant(t, new(distant))
				for range stopped {
					wantReset(t, "Write", s.write(t, stops, 1<<20), 7)
				}
				for range 8 { // more than there is credit for
					go s.write(t, holds, 200<<10)
				}
				time.Sleep(time.Hour)
				if !dry(s) {
					t.Error("nobody waits for credit")
				}
				if s.Context().Err() != nil {
					t.Error("the session has ended")
				}
			})
		})
	}
}

// TestCreditComesLate gives credit just before the session would be given up, again and
// again.
func TestCreditComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := meetDistant(t, &distant{forgets: true, greedy: true})
		lose(t, s)
		writing := start(func() error { return s.write(t, reads, 2<<20) })
		for range 5 {
			awaitDry(t, s)
			time.Sleep(creditPatience - time.Second)
			s.Mu.Lock()
			more := s.out.maxData + 100<<10
			s.Mu.Unlock()
			s.handleMaxData(more)
		}
		if err := s.Context().Err(); err != nil {
			t.Error("the session has ended")
		}
		s.handleMaxData(1 << 30)
		if err := await(t, "Write", writing); err != nil {
			t.Error("write:", err)
		}
		time.Sleep(time.Minute)
		if err := s.Context().Err(); err != nil {
			t.Error("the session has ended")
		}
	})
}
