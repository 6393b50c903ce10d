// Package windowtest tests how the windows of a multiplexer's streams follow the path and
// the reader. Its sessions run on slow paths, in synctest bubbles, where that takes no
// real time.
package windowtest

import (
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// Test runs all tests with m.
func Test(t *testing.T, m mux.Muxer) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, m mux.Muxer)
	}{
		{"FollowsPath", followsPath},
		{"ThroughputOnLongPath", throughputOnLongPath},
		{"ThroughputFromTheStart", throughputFromTheStart},
		{"SlowReader", slowReader},
		{"ReaderInBursts", readerInBursts},
		{"WindowOfDialSide", windowOfDialSide},
		{"WindowsOfIdleStreams", windowsOfIdleStreams},
		{"ReadStreamsStay", readStreamsStay},
		{"WindowsShare", windowsShare},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			test.run(t, m)
		})
	}
}

// A duo is the two ends of a session.
type duo struct{ dial, listen mux.Session }

// far makes a session over a connection with the given round trip and rate in bytes per
// second.
func far(t *testing.T, m mux.Muxer, roundTrip time.Duration, rate float64, config mux.Config) duo {
	t.Helper()
	config.Linger = -1
	path := testnet.NewFar(t, roundTrip, rate)
	dial, err := m.DialSide(path.A, config)
	if err != nil {
		t.Fatal("dial side:", err)
	}
	listen, err := m.ListenSide(path.B, config)
	if err != nil {
		t.Fatal("listen side:", err)
	}
	t.Cleanup(func() {
		dial.Close()
		listen.Close()
	})
	return duo{dial, listen}
}

// open opens a stream on the dial side.
func (d duo) open(t *testing.T) (dialled, accepted mux.Stream) {
	t.Helper()
	dialled, err := d.dial.Open(t.Context())
	if err != nil {
		t.Fatal("open:", err)
	}
	if accepted, err = d.listen.Accept(t.Context()); err != nil {
		t.Fatal("accept:", err)
	}
	return dialled, accepted
}

// flow opens a stream on which the dial side writes forever. It returns the other end.
func (d duo) flow(t *testing.T) mux.Stream {
	t.Helper()
	writer, reader := d.open(t)
	go fill(writer)
	return reader
}

// fill writes forever.
func fill(w io.Writer) {
	for buf := make([]byte, 64<<10); ; {
		if _, err := w.Write(buf); err != nil {
			return
		}
	}
}

// read reads for d and returns the number of bytes.
func read(t *testing.T, r mux.Stream, d time.Duration) int64 {
	t.Helper()
	r.SetReadDeadline(time.Now().Add(d))
	n, err := io.Copy(io.Discard, struct{ io.Reader }{r})
	if !os.IsTimeout(err) {
		t.Fatalf("read %d bytes, then %v", n, err)
	}
	return n
}

// windowOf reads a stream for d, stops, and returns how much still arrives.
func windowOf(t *testing.T, r mux.Stream, d time.Duration) int64 {
	t.Helper()
	read(t, r, d)
	time.Sleep(10 * time.Second) // everything on its way arrives
	r.SetReadDeadline(time.Now().Add(time.Microsecond))
	n, _ := io.Copy(io.Discard, struct{ io.Reader }{r})
	return n
}

// followsPath reads a stream as fast as it arrives, until its window no longer changes.
func followsPath(t *testing.T, m mux.Muxer) {
	const least = 256 << 10
	for _, test := range []struct {
		name      string
		roundTrip time.Duration
		rate      float64 // bytes per second
		config    mux.Config
		from, to  int64
	}{
		{name: "short", roundTrip: 500 * time.Microsecond, rate: 1e9, from: least / 2, to: least},
		{name: "long", roundTrip: 100 * time.Millisecond, rate: 10e6, from: 1e6, to: 3e6},
		// The round trip is measured behind a window that fills the path.
		{name: "long and thin", roundTrip: 100 * time.Millisecond, rate: 1e6, from: least, to: 3 * least},
		{name: "long and fat", roundTrip: 100 * time.Millisecond, rate: 1e9,
			config: mux.Config{MaxWindow: 1 << 20}, from: 1 << 20, to: 1 << 20},
		{name: "fixed", roundTrip: 100 * time.Millisecond, rate: 1e9,
			config: mux.Config{Window: 512 << 10, MaxWindow: 1}, from: 512 << 10, to: 512 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := far(t, m, test.roundTrip, test.rate, test.config).flow(t)
				got := windowOf(t, r, 25*test.roundTrip)
				if unsaid := test.from / 8; got < test.from-unsaid || got > test.to {
					t.Errorf("window of %d bytes, want %d to %d", got, test.from, test.to)
				}
			})
		})
	}
}

// throughputOnLongPath checks that windows grow until they no longer limit a stream.
func throughputOnLongPath(t *testing.T, m mux.Muxer) {
	const rate = 10e6
	synctest.Test(t, func(t *testing.T) {
		r := far(t, m, 100*time.Millisecond, rate, mux.Config{}).flow(t)
		read(t, r, 2*time.Second)
		if got := read(t, r, time.Second); got < rate*0.95 {
			t.Errorf("%d bytes in a second, of %.0f", got, rate)
		}
	})
}

// throughputFromTheStart checks that a transfer of three seconds does not spend them on growing
// windows.
func throughputFromTheStart(t *testing.T, m mux.Muxer) {
	const rate = 100e6
	synctest.Test(t, func(t *testing.T) {
		r := far(t, m, 100*time.Millisecond, rate, mux.Config{}).flow(t)
		const least = 0.82 * 3 * rate
		got := read(t, r, 3*time.Second)
		if got := float64(got); got < least {
			t.Errorf("%.0f bytes in 3 s, want at least %.0f", got, least)
		}
	})
}

// readerInBursts reads a whole window at intervals of many round trips: the reader sets the
// pace, however fast it reads once it does, so the window must not grow.
func readerInBursts(t *testing.T, m mux.Muxer) {
	synctest.Test(t, func(t *testing.T) {
		r := far(t, m, 20*time.Millisecond, 1e9, mux.Config{}).flow(t)
		for range 20 {
			if _, err := io.CopyN(io.Discard, r, 256<<10); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if got := windowOf(t, r, 0); got > 4*256<<10 {
			t.Errorf("window of %d bytes, want at most four times the initial size", got)
		}
	})
}

// slowReader reads a little at intervals: it does not wait for the peer, so the window
// must not grow.
func slowReader(t *testing.T, m mux.Muxer) {
	synctest.Test(t, func(t *testing.T) {
		r := far(t, m, 100*time.Millisecond, 1e9, mux.Config{}).flow(t)
		for range 50 {
			if _, err := io.CopyN(io.Discard, r, 64<<10); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if got := windowOf(t, r, 0); got > 256<<10 {
			t.Errorf("window of %d bytes, want the initial size", got)
		}
	})
}

// windowOfDialSide checks the dial side's window, by reading there.
func windowOfDialSide(t *testing.T, m mux.Muxer) {
	synctest.Test(t, func(t *testing.T) {
		d := far(t, m, 100*time.Millisecond, 10e6, mux.Config{})
		reader, writer := d.open(t)
		go fill(writer)
		if got := windowOf(t, reader, 2500*time.Millisecond); got < 1e6 || got > 3e6 {
			t.Errorf("window of %d bytes, want 1 to 3 million", got)
		}
	})
}

// windowsOfIdleStreams lets streams grow that are then no longer read, because nothing
// more arrives or nobody reads. Another stream must get their share.
func windowsOfIdleStreams(t *testing.T, m mux.Muxer) {
	for _, end := range []string{"idle", "finished"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := far(t, m, 100*time.Millisecond, 1e9, mux.Config{ReceiveBuffer: 4 << 20})
				for range 3 {
					const size = 20 << 20
					writer, reader := d.open(t)
					go func() {
						writer.Write(make([]byte, size))
						if end == "finished" {
							writer.CloseWrite()
						}
					}()
					if _, err := io.CopyN(io.Discard, reader, size); err != nil {
						t.Fatal(err)
					}
				}
				if end == "idle" {
					time.Sleep(2 * time.Second)
				}
				if got := windowOf(t, d.flow(t), 2*time.Second); got < 1<<20 {
					t.Errorf("window of %d bytes, although nothing else arrives", got)
				}
			})
		})
	}
}

// readStreamsStay reads some streams in bursts, beside more that nobody reads: the former
// must not be reset.
func readStreamsStay(t *testing.T, m mux.Muxer) {
	synctest.Test(t, func(t *testing.T) {
		d := far(t, m, 100*time.Millisecond, 1e9, mux.Config{ReceiveBuffer: 8 << 20})
		for range 18 { // more than half of the buffer
			d.flow(t)
		}
		failed := make(chan error)
		const readers = 2
		for range readers {
			r := d.flow(t)
			go func() {
				var err error
				for i := 0; i < 5 && err == nil; i++ {
					_, err = io.CopyN(io.Discard, r, 10<<20)
					time.Sleep(300 * time.Millisecond)
				}
				failed <- err
			}()
		}
		for range readers {
			if err := <-failed; err != nil {
				t.Error("a stream that is read:", err)
			}
		}
	})
}

// windowsShare lets several streams grow, with a receive buffer too small for all of
// them, and more streams after them.
func windowsShare(t *testing.T, m mux.Muxer) {
	const buffer, streams = 8 << 20, 4
	synctest.Test(t, func(t *testing.T) {
		d := far(t, m, 100*time.Millisecond, 1e9, mux.Config{ReceiveBuffer: buffer})
		for range 2 {
			var all int64
			var readers []mux.Stream
			for range streams {
				readers = append(readers, d.flow(t))
			}
			for _, r := range readers {
				all += windowOf(t, r, 1500*time.Millisecond)
			}
			if all > buffer || all < buffer/8*5 { // some is left for buffers that are partly filled
				t.Errorf("windows of %d bytes in total, want nearly %d", all, buffer)
			}
			for _, r := range readers {
				r.Close()
			}
			time.Sleep(time.Second)
		}
	})
}
