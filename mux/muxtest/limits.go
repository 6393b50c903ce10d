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
			writer.SetWriteDeadline(time.Now().Add(slowdown * 500 * time.Millisecond))
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
		t.Errorf("100 unread streams hold %d KiB, want %d at most", used>>10, config.ReceiveBuffer>>10)
	}
	for _, st := range stalled { // what they hold must not be lost
		st.SetReadDeadline(time.Now().Add(soon))
		if n, err := io.CopyN(io.Discard, st, st.holds); err != nil {
			t.Fatalf("a stalled stream that is read at last: %d of %d bytes, %v", n, st.holds, err)
		}
	}
}

func heap() int64 {
	for range 2 { // which empties pools
		runtime.GC()
	}
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
	reading := make([]<-chan result[int64], len(stalled))
	for i, st := range stalled {
		reading[i] = startValue(func() (int64, error) {
			st.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			return io.Copy(io.Discard, st)
		})
	}
	for _, c := range reading {
		n, err := awaitValue(t, "Read", c)
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
	const streams = 10
	refuses := func(t *testing.T, want int, config mux.Config) {
		p := connect.pair(t, generous, config)
		opened := make([]mux.Stream, streams)
		results := make(chan error, streams)
		for i := range opened {
			st := open(t, p.Dial)
			st.SetReadDeadline(time.Now().Add(soon))
			opened[i] = st
			go func() {
				_, err := st.Read(make([]byte, 1))
				results <- err
			}()
		}
		refused := 0
		count := func(results <-chan error) {
			if errors.Is(<-results, mux.ErrReset) {
				refused++
			}
		}
		for range want {
			count(results)
		}
		for _, st := range opened { // time for too many to be refused
			st.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		}
		for range streams - want {
			count(results)
		}
		if refused != want {
			t.Errorf("%d of %d streams were refused, want %d", refused, streams, want)
		}
		if err := p.Dial.Context().Err(); err != nil {
			t.Error("the session ended:", err)
		}
	}
	t.Run("AcceptBacklog", func(t *testing.T) { refuses(t, 4, mux.Config{AcceptBacklog: 6}) })
	t.Run("MaxStreams", func(t *testing.T) { refuses(t, 3, mux.Config{MaxStreams: 7}) })
	t.Run("no streams", func(t *testing.T) { refuses(t, streams, mux.Config{MaxStreams: -1}) })
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
