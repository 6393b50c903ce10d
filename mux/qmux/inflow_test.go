package qmux

import (
	"errors"
	"io"
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

// idle waits until s has written everything.
func idle(t *testing.T, s *session) {
	t.Helper()
	until(t, "the session has nothing to write", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return !s.writer.Busy()
	})
}

// TestCreditTogether expects a stream's credit and the connection's to leave together.
func TestCreditTogether(t *testing.T) {
	const (
		half   = 128 << 10 // of a stream's window
		all    = 512 << 10 // the connection's
		a, b   = 1, 5
		record = 64 << 10
	)
	// fill sends half of a window on each stream, in turns, and reads what the first got.
	fill := func(t *testing.T, ids ...uint64) (*puppet, *session, *stream) {
		t.Helper()
		leak.Check(t)
		s, peer := meet(t, listenSide, mux.Config{KeepAlive: -1}, greetings()) // a ping would take credit along
		t.Cleanup(func() { peer.conn.Close() })
		for _, id := range ids {
			peer.say(streamFrame(id, 0, nil))
		}
		st := accept(t, s) // which asks for a ping
		idle(t, s)
		for offset := uint64(0); offset < half; offset += record {
			for _, id := range ids {
				peer.say(streamFrame(id, offset, make([]byte, record)))
			}
		}
		if len(ids) > 1 {
			peer.wants(frame{typ: frameMaxData, max: 2*half + all})
			idle(t, s)
		}
		if _, err := io.ReadFull(st, make([]byte, half)); err != nil {
			t.Fatal(err)
		}
		return peer, s, st
	}
	wantsGrant := func(t *testing.T, peer *puppet) {
		t.Helper()
		if f, _ := peer.hear(); f.typ != frameMaxStreamData || f.id != a {
			t.Errorf("frame %+v, want MAX_STREAM_DATA of stream %d", f, a)
		}
	}
	together := func(t *testing.T, peer *puppet) {
		t.Helper()
		if f, _ := peer.hear(); f.typ != frameMaxData || peer.r.left == 0 {
			t.Errorf("frame %+v, %d bytes before the end of its record, want MAX_DATA and another", f, peer.r.left)
		}
		wantsGrant(t, peer)
	}
	t.Run("one stream", func(t *testing.T) {
		peer, _, _ := fill(t, a)
		together(t, peer)
	})
	t.Run("turns", func(t *testing.T) {
		peer, s, st := fill(t, a, b)
		s.Mu.Lock()
		if st.pending&pendingGrant == 0 || s.writer.Busy() {
			t.Error("the stream's credit leaves alone")
		}
		s.Mu.Unlock()
		for offset := uint64(half); offset < 2*half; offset += record {
			peer.say(streamFrame(b, offset, make([]byte, record)))
		}
		for id := uint64(b + 4); id < b+12; id += 4 {
			peer.say(streamFrame(id, 0, make([]byte, record)))
		}
		together(t, peer)
	})
	t.Run("urgent", func(t *testing.T) {
		peer, _, _ := fill(t, a, b)
		peer.say(streamFrame(a, half, []byte("x")))
		wantsGrant(t, peer)
	})
	t.Run("again", func(t *testing.T) { // the peer does not know what waits already
		peer, _, st := fill(t, a, b)
		st.in.Lock()
		owner{st}.Extend(0, false)
		st.in.Unlock()
		wantsGrant(t, peer)
	})
	t.Run("no room", func(t *testing.T) {
		peer, s, st := fill(t, a, b)
		st.in.Lock()
		s.Mu.Lock()
		st.pending &^= pendingGrant
		s.control.streams = nil
		s.Mu.Unlock()
		owner{st}.Extend(st.in.AllowedLocked()-st.in.ReceivedLocked()-maxRecordSize, false)
		st.in.Unlock()
		wantsGrant(t, peer)
	})
}
