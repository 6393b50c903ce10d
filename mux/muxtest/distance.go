package muxtest

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// far makes a session of m whose ends are a distance apart.
func far(t *testing.T, m mux.Muxer, roundTrip time.Duration, config mux.Config) (Pair, *testnet.Far) {
	t.Helper()
	config.Linger = -1
	path := testnet.NewFar(t, roundTrip, 1<<30)
	var p Pair
	var err error
	if p.Dial, err = m.DialSide(path.A, config); err != nil {
		t.Fatal("dial side:", err)
	}
	if p.Listen, err = m.ListenSide(path.B, config); err != nil {
		t.Fatal("listen side:", err)
	}
	t.Cleanup(func() { p.close(t) })
	return p, path
}

func distance(t *testing.T, m mux.Muxer) {
	t.Run("RoundTrip", func(t *testing.T) { roundTripFollows(t, m) })
	t.Run("Window", func(t *testing.T) {
		for _, window := range []int64{256 << 10, 2 << 20} {
			wantWindow(t, m, mux.Config{Window: int(window), MaxWindow: 1}, window*3/4, window)
		}
	})
	t.Run("MaxWindow", func(t *testing.T) {
		wantWindow(t, m, mux.Config{}, 384<<10, 16<<20)
		wantWindow(t, m, mux.Config{MaxWindow: 512 << 10}, 384<<10, 512<<10)
	})
}

// roundTripFollows moves the peer away. Only keepalive can show that to the two ends.
func roundTripFollows(t *testing.T, m mux.Muxer) {
	const near, away = 40 * time.Millisecond, 160 * time.Millisecond
	p, path := far(t, m, near, mux.Config{KeepAlive: 1500 * time.Millisecond})
	p.open(t)
	for _, roundTrip := range []time.Duration{near, away} {
		path.SetRoundTrip(roundTrip)
		for name, s := range map[string]mux.Session{"dial": p.Dial, "listen": p.Listen} {
			within := func(d time.Duration) bool { return d >= roundTrip && d < roundTrip*5/2 }
			for begun := time.Now(); !within(s.RoundTrip()); letBlock() {
				if err := context.Cause(s.Context()); err != nil {
					t.Fatalf("%s side: %v", name, err)
				}
				if time.Since(begun) > soon {
					t.Fatalf("%s side: round trip %v, want about %v", name, s.RoundTrip(), roundTrip)
				}
			}
		}
	}
}

// wantWindow reads a stream for a while as fast as it arrives, stops, and checks how much
// still arrives before the writer has to wait. A window grows with what is read, so on a
// busy machine it may take several tries.
func wantWindow(t *testing.T, m mux.Muxer, config mux.Config, least, most int64) {
	t.Helper()
	var got int64
	for range 3 {
		got = windowOf(t, m, config)
		if got > most || got >= least {
			break
		}
	}
	if got < least || got > most {
		t.Errorf("Window %d and MaxWindow %d: %d bytes wait to be read, want %d to %d", config.Window, config.MaxWindow, got, least, most)
	}
}

func windowOf(t *testing.T, m mux.Muxer, config mux.Config) int64 {
	t.Helper()
	const roundTrip = 100 * time.Millisecond
	p, _ := far(t, m, roundTrip, config)
	writer, reader := p.open(t)
	written := writing(writer)
	reader.SetReadDeadline(time.Now().Add(12 * roundTrip))
	if n, err := readOut(t, reader); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read for %v: %d bytes, %v", 12*roundTrip, n, err)
	}
	<-time.After(3 * roundTrip) // everything on its way has arrived
	reader.SetReadDeadline(time.Now().Add(roundTrip / 2))
	n, _ := io.Copy(io.Discard, onlyReader{reader})
	writer.Close()
	await(t, "Write", written)
	return n
}

// An onlyReader hides all other methods.
type onlyReader struct{ io.Reader }
