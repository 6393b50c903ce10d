package muxtest

import (
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

func manyStreams(t *testing.T, connect Connect) {
	t.Run("70,000 in a session", func(t *testing.T) { manyInSession(t, connect) })
	t.Run("closed", func(t *testing.T) { manyClosed(t, connect) })
	t.Run("idle", func(t *testing.T) { manyIdle(t, connect) })
}

// manyInSession opens more streams than a 16-bit number can count, or as many as there is
// time for. Each carries something.
func manyInSession(t *testing.T, connect Connect) {
	if testing.Short() && slowdown > 1 {
		t.Skip("takes long under the race detector: run it without -short")
	}
	const streams, openers = 70_000, 8
	p := connect.pair(t, mux.Config{}, mux.Config{})
	var opened, accepted atomic.Int64
	accepting := start(func() error {
		got := make([]byte, 2)
		for {
			st, err := p.Listen.Accept(t.Context())
			if err != nil {
				return fmt.Errorf("accept after %d streams: %w", accepted.Load(), err)
			}
			if _, err := io.ReadFull(st, got); err != nil || string(got) != "hi" {
				return fmt.Errorf("read of stream %d: %q, %w", accepted.Load(), got, err)
			}
			st.Close()
			accepted.Add(1)
		}
	})
	begun := time.Now()
	var opening []<-chan error
	for range openers {
		opening = append(opening, start(func() error {
			for range streams / openers {
				if time.Since(begun) > soon {
					return nil
				}
				st, err := p.Dial.Open(t.Context())
				if err != nil {
					return fmt.Errorf("open after %d streams: %w", opened.Load(), err)
				}
				if _, err := io.WriteString(st, "hi"); err != nil {
					return fmt.Errorf("write after %d streams: %w", opened.Load(), err)
				}
				st.Close()
				opened.Add(1)
			}
			return nil
		}))
	}
	for _, opener := range opening {
		if err := awaitLong(t, "Open", opener); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n < streams {
		t.Logf("only %d streams in %v", n, soon)
	}
	for begun := time.Now(); accepted.Load() < opened.Load(); letBlock() {
		select {
		case err := <-accepting:
			t.Fatal(err)
		default:
		}
		if time.Since(begun) > soon {
			t.Fatalf("%d of %d streams arrive", accepted.Load(), opened.Load())
		}
	}
}

// manyClosed compares the memory of a session before and after many streams.
func manyClosed(t *testing.T, connect Connect) {
	const streams, most = 1000, 16 << 10
	p := connect.pair(t, mux.Config{}, mux.Config{})
	go echo(p.Listen)
	talk := func(n int) {
		for range n {
			roundTrip(t, p.Dial)
		}
	}
	talk(streams / 10) // a session's fixed cost is paid now
	before := heap()
	talk(streams)
	if each := (heap() - before) / streams; each > most {
		t.Errorf("each stream that was closed leaves %d bytes, want %d at most", each, most)
	}
}

// manyIdle leaves streams idle after use.
func manyIdle(t *testing.T, connect Connect) {
	const (
		streams        = 200
		mostGoroutines = 2 * 4 // both ends together
		mostMemory     = 2 * 16 << 10
	)
	p := connect.pair(t, mux.Config{}, mux.Config{})
	use := func() (dialled, accepted mux.Stream) {
		dialled, accepted = p.open(t)
		for _, way := range []struct{ from, to mux.Stream }{{dialled, accepted}, {accepted, dialled}} {
			io.WriteString(way.from, "hi")
			if _, err := io.ReadFull(way.to, make([]byte, 2)); err != nil {
				t.Fatal("read:", err)
			}
		}
		return dialled, accepted
	}
	var open []mux.Stream
	keep := func(n int) {
		for range n {
			dialled, accepted := use()
			open = append(open, dialled, accepted)
		}
	}
	keep(streams / 10)
	memory, goroutines := heap(), runtime.NumGoroutine()
	keep(streams)
	letBlock()
	if each := (runtime.NumGoroutine() - goroutines) / streams; each > mostGoroutines {
		t.Errorf("each idle stream has %d goroutines on both ends, want %d at most", each, mostGoroutines)
	}
	if each := (heap() - memory) / streams; each > mostMemory {
		t.Errorf("each idle stream has %d bytes on both ends, want %d at most", each, mostMemory)
	}
	runtime.KeepAlive(open)
}
