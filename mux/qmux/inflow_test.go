package qmux

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/recv"
	"github.com/backdial/backdial/mux/internal/window"
)

func newInflow(c mux.Config) (*inflow, *window.Pool) {
	c = c.WithDefaults()
	budget := new(recv.Budget)
	budget.Init(name, &c, nil, false)
	f := new(inflow)
	f.init(&c, budget)
	return f, &budget.Windows
}

func TestInflow(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for _, test := range []struct {
		name   string
		config mux.Config
		held   int64
		window uint64 // at first
		room   uint64 // while that is held
	}{
		{"default", mux.Config{}, 10 * mib, 512 * kib, 512 * kib},
		{"default, nearly full", mux.Config{}, 56*mib - 512*kib, 512 * kib, 256 * kib},
		{"default, full", mux.Config{}, 56 * mib, 512 * kib, 0},
		{"large windows", mux.Config{Window: 4 * mib}, 50 * mib, 8 * mib, 3 * mib},
		{"small buffer", mux.Config{ReceiveBuffer: mib}, 700 * kib, 448 * kib, 98 * kib},
		{"tiny buffer", mux.Config{ReceiveBuffer: 10}, 0, 16 * kib, 16 * kib},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, pool := newInflow(test.config)
			pool.Held.Add(test.held)
			if f.allowed != test.window {
				t.Errorf("window of %d bytes, want %d", f.allowed, test.window)
			}
			if f.receive(f.allowed + 1) {
				t.Error("more than the window may arrive")
			}
			const step = 1000
			for f.receive(step) {
				if before := f.allowed; f.extend(0) {
					if got := f.allowed - f.received; got != max(test.room, before-f.received) {
						t.Errorf("room for %d bytes, want %d", got, test.room)
					}
					return
				}
			}
			if test.room > 0 {
				t.Error("the window is used up, and not extended")
			}
		})
	}
}

// TestInflowFollowsPath expects the connection's window to grow as far as a long path
// needs, and not at all on a short one.
func TestInflowFollowsPath(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for _, test := range []struct {
		name      string
		config    mux.Config
		roundTrip time.Duration
		want      uint64 // of a peer that sends as much as it may
	}{
		{"unknown", mux.Config{}, 0, 512 * kib},
		{"short", mux.Config{}, window.Worthwhile - 1, 512 * kib},
		{"long", mux.Config{}, 20 * time.Millisecond, 32 * mib},
		{"bounded", mux.Config{MaxWindow: mib}, 20 * time.Millisecond, 2 * mib},
		{"windows that do not grow", mux.Config{MaxWindow: 1}, 20 * time.Millisecond, 512 * kib},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _ := newInflow(test.config)
				for range 100 {
					time.Sleep(max(test.roundTrip, time.Microsecond))
					for f.receive(kib) {
					}
					f.extend(test.roundTrip)
				}
				if got := f.window.Size; got != test.want {
					t.Errorf("window of %d bytes, want %d", got, test.want)
				}
			})
		})
	}
	t.Run("rate", func(t *testing.T) { // 100 MB/s at 20 ms are 2 MB
		synctest.Test(t, func(t *testing.T) {
			const roundTrip = 20 * time.Millisecond
			f, _ := newInflow(mux.Config{})
			for range 1000 {
				time.Sleep(time.Millisecond)
				for range 100 {
					f.receive(1000)
				}
				f.extend(roundTrip)
			}
			if got := f.window.Size; got < 3e6 || got > 5e6 {
				t.Errorf("window of %d bytes, want twice what the path carries in a round trip", got)
			}
		})
	})
}

// TestNoCredit lets streams wait for credit of the connection that never comes, be given
// up, and be forgotten.
func TestNoCredit(t *testing.T) {
	leak.Check(t)
	p := greetings()
	p.initialMaxData = 0
	s, peer := meet(t, dialSide, mux.Config{}, p)
	listening := start(func() error {
		for {
			f, _, err := peer.next()
			switch {
			case err != nil:
				return nil
			case f.typ == frameResetStream:
				peer.say(encode(f))
			}
		}
	})
	for range 10 {
		st := open(t, s)
		writing := start(func() error { _, err := st.Write([]byte("hello")); return err })
		until(t, "Write waits", func() bool {
			s.Mu.Lock()
			defer s.Mu.Unlock()
			return st.waits
		})
		st.Reset()
		if err := await(t, "Write", writing); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v, want net.ErrClosed", err)
		}
		until(t, "the stream is over", func() bool {
			s.Mu.Lock()
			defer s.Mu.Unlock()
			return len(s.streams) == 0
		})
		s.Mu.Lock()
		if st.waits {
			t.Error("a stream that is over has a turn")
		}
		s.Mu.Unlock()
	}
	peer.conn.Close()
	await(t, "what the session says", listening)
}
