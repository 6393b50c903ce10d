package muxtest

import (
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// A stalledStream is a stream that nobody reads.
type stalledStream struct {
	mux.Stream
	holds int64 // bytes that were written to it
}

// stall fills the windows of n streams that nobody reads.
func stall(t *testing.T, p Pair, n int) []stalledStream {
	t.Helper()
	streams := make([]stalledStream, n)
	writing := make([]<-chan result[int], n)
	data := make([]byte, 1<<20)
	for i := range streams {
		writer, reader := p.open(t)
		streams[i].Stream = reader
		writing[i] = startValue(func() (int, error) {
			writer.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			return writer.Write(data)
		})
	}
	for i := range streams {
		n, _ := awaitValue(t, "Write", writing[i])
		streams[i].holds = int64(n)
	}
	return streams
}

func stalledStreams(t *testing.T, connect Connect) {
	config := mux.Config{}.WithDefaults()
	p := connect.pair(t, config, config)
	before := heap()
	stalled := stall(t, p, 100)
	go echo(p.Listen)
	for range 20 {
		roundTrip(t, p.Dial)
	}
	if used := heap() - before; used > int64(config.ReceiveBuffer) {
		t.Errorf("100 unread streams hold %d MiB, want %d at most", used>>20, config.ReceiveBuffer>>20)
	}
	for _, st := range stalled { // what they hold must not be lost
		st.SetReadDeadline(time.Now().Add(soon))
		if n, err := io.CopyN(io.Discard, st, st.holds); err != nil {
			t.Fatalf("a stalled stream that is read at last: %d of %d bytes, %v", n, st.holds, err)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func boundedMemory(t *testing.T, connect Connect) {
	const limit = 1 << 20
	p := connect.pair(t, mux.Config{}, mux.Config{ReceiveBuffer: limit})
	stalled := stall(t, p, 16)
	go echo(p.Listen)
	roundTrip(t, p.Dial)
	var held int64
	resets := 0
	for _, st := range stalled {
		st.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := io.Copy(io.Discard, st)
		if errors.Is(err, mux.ErrReset) {
			resets++
		}
		held += n
	}
	if resets == 0 && held > limit {
		t.Errorf("no stream was reset, although together they hold %d bytes, more than the limit of %d", held, limit)
	}
	// Reading makes room for what was on its way, but not for all of it.
	if held > 3*limit {
		t.Errorf("unread streams held %d bytes, want about %d at most", held, limit)
	}
}

func streamLimits(t *testing.T, connect Connect) {
	// The end that opens streams is nearly unlimited itself, so it exceeds the limits of
	// its peer.
	generous := mux.Config{AcceptBacklog: 1 << 10}
	refusedOf := func(t *testing.T, n int, config mux.Config) (refused int) {
		p := connect.pair(t, generous, config)
		results := make(chan error, n)
		for range n {
			st := open(t, p.Dial)
			go func() {
				st.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
				_, err := st.Read(make([]byte, 1))
				results <- err
			}()
		}
		for range n {
			if errors.Is(<-results, mux.ErrReset) {
				refused++
			}
		}
		if err := p.Dial.Context().Err(); err != nil {
			t.Error("the session ended:", err)
		}
		return refused
	}
	t.Run("AcceptBacklog", func(t *testing.T) {
		if got := refusedOf(t, 10, mux.Config{AcceptBacklog: 6}); got != 4 {
			t.Errorf("%d of 10 streams were refused, want all beyond 6", got)
		}
	})
	t.Run("MaxStreams", func(t *testing.T) {
		if got := refusedOf(t, 10, mux.Config{MaxStreams: 7}); got != 3 {
			t.Errorf("%d of 10 streams were refused, want all beyond 7", got)
		}
	})
	t.Run("no streams", func(t *testing.T) {
		if got := refusedOf(t, 10, mux.Config{MaxStreams: -1}); got != 10 {
			t.Errorf("%d of 10 streams were refused, want all", got)
		}
	})
	t.Run("streams that ended do not count", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{MaxStreams: 2})
		go echo(p.Listen)
		for range 50 {
			st := open(t, p.Dial)
			st.CloseWrite()
			if _, err := io.ReadAll(st); err != nil {
				t.Fatal("read:", err)
			}
			st.Close()
		}
	})
}
