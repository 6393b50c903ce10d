package muxtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// steadyReaders tests sessions whose receive buffer is full.
func steadyReaders(t *testing.T, connect Connect) {
	parts := make(map[string]func(t *testing.T))
	for name, test := range map[string]func(t *testing.T, connect Connect){
		"slow":           steadySlow,
		"in bursts":      steadyBursts,
		"echoes":         steadyEchoes,
		"both ends full": steadyBothEnds,
		"abandoned":      steadyAbandoned,
		"trickle":        steadyTrickle,
		"given up":       steadyGivenUp,
	} {
		parts[name] = func(t *testing.T) { test(t, connect) }
	}
	inParallel(t, parts)
	t.Run("memory", func(t *testing.T) { steadyMemory(t, connect) })
}

const (
	smallBuffer = 1 << 20   // of a session that fills up soon
	leastWindow = 256 << 10 // what an unread stream holds
)

// full configures both ends of such a session.
var full = mux.Config{ReceiveBuffer: smallBuffer, KeepAlive: slowdown * time.Second}

// A pace is how a reader reads: so many bytes, and then a pause.
type pace struct {
	chunk int64
	rest  time.Duration
}

// readAt reads size bytes of st.
func (p pace) readAt(st mux.Stream, size int64) error {
	for read := int64(0); read < size; {
		n, err := io.CopyN(io.Discard, onlyReader{st}, min(p.chunk, size-read))
		if read += n; err != nil {
			return fmt.Errorf("read after %d of %d bytes: %w", read, size, err)
		}
		if read < size {
			<-time.After(p.rest)
		}
	}
	return nil
}

// steady opens n streams on which one end writes size bytes, and the other reads them at
// a pace. The dial side writes on every second stream. Each stream sends its result when
// it ends.
func steady(t *testing.T, p Pair, n int, size int64, pace pace) <-chan error {
	t.Helper()
	results := make(chan error, 2*n)
	data := make([]byte, size)
	for i := range n {
		writer, reader := p.open(t)
		if i%2 == 1 {
			writer, reader = reader, writer
		}
		go func() {
			_, err := writer.Write(data)
			if err == nil {
				err = writer.CloseWrite()
			}
			if err != nil {
				results <- fmt.Errorf("write: %w", err)
			}
		}()
		go func() { results <- pace.readAt(reader, size) }()
	}
	return results
}

// wantSteady expects none of n streams to fail.
func wantSteady(t *testing.T, n int, results <-chan error) {
	t.Helper()
	failed := 0
	var last error
	for range n {
		if err := awaitLong(t, "a steady reader", results); err != nil {
			failed, last = failed+1, err
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d streams that are read steadily fail, one of them with: %v", failed, n, last)
	}
}

// steadySlow uses readers that are slower than the peer. They must not block another
// stream.
func steadySlow(t *testing.T, connect Connect) {
	const streams = 32
	p := connect.pair(t, full, full)
	st, peer := p.open(t)
	go io.Copy(peer, peer)
	results := steady(t, p, streams, 1<<20, pace{64 << 10, 150 * time.Millisecond})
	wantPings(t, st, 12, slowdown*500*time.Millisecond)
	wantSteady(t, streams, results)
	wantAlive(t, p)
}

// wantPings makes st echo a few times. Half of the echoes must take less than most: the
// others may wait for the machine.
func wantPings(t *testing.T, st mux.Stream, n int, most time.Duration) {
	t.Helper()
	var took []time.Duration
	for range n {
		d, err := pingOn(st)
		if err != nil {
			t.Fatal("ping beside steady readers:", err)
		}
		took = append(took, d)
		<-time.After(50 * time.Millisecond)
	}
	if slices.Sort(took); took[n/2] > most {
		t.Errorf("pings beside steady readers take %v, want %v at most", took, most)
	}
}

// pingOn makes the peer echo something.
func pingOn(st mux.Stream) (time.Duration, error) {
	begun := time.Now()
	st.SetDeadline(begun.Add(soon))
	if _, err := io.WriteString(st, "ping"); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(st, make([]byte, 4))
	return time.Since(begun), err
}

func wantAlive(t *testing.T, p Pair) {
	t.Helper()
	for side, s := range map[string]mux.Session{"dial": p.Dial, "listen": p.Listen} {
		if err := s.Context().Err(); err != nil {
			t.Errorf("the session of the %s side has ended", side)
		}
	}
}

// steadyBursts uses readers that pause for longer than keepalive waits, except under the race
// detector. They take 6 s to read what they hold.
func steadyBursts(t *testing.T, connect Connect) {
	const streams = 12 // half of them in each direction
	config := full
	config.KeepAlive = slowdown * 500 * time.Millisecond
	p := connect.pair(t, config, config)
	wantSteady(t, streams, steady(t, p, streams, leastWindow, pace{64 << 10, 2 * time.Second}))
	wantAlive(t, p)
}

// steadyEchoes echoes on many streams at once. Both ends have room for a window of each:
// in a protocol without credit for all streams, an application that reads only when it
// can write may wait for credit that is queued behind its own unread data.
func steadyEchoes(t *testing.T, connect Connect) {
	const streams, size = 16, 1 << 20
	config := mux.Config{ReceiveBuffer: 2 * streams * leastWindow}
	p := connect.pair(t, config, config)
	go echo(p.Listen)
	results := make(chan error, streams)
	data := make([]byte, size)
	for range streams {
		st := open(t, p.Dial)
		go func() {
			st.Write(data)
			st.CloseWrite()
		}()
		go func() {
			n, err := io.Copy(io.Discard, st)
			if err == nil && n != size {
				err = io.ErrUnexpectedEOF
			}
			st.Close()
			results <- err
		}()
	}
	wantSteady(t, streams, results)
}

// steadyBothEnds uses applications that write a window before they read one. Both ends
// are full then, and an application that does not read may lose its stream, so that
// others go on. Once both ends read, no stream may be lost, except for what is on its way
// then.
func steadyBothEnds(t *testing.T, connect Connect) {
	const streams, onItsWay = 16, time.Second
	p := connect.pair(t, full, full)
	data := make([]byte, leastWindow)
	results := make(chan error, 2*streams)
	var lost atomic.Int32
	use := func(st mux.Stream, reading *bothReading) error {
		defer st.Close()
		_, err := st.Write(data)
		if err == nil {
			reading.begin()
			_, err = io.CopyN(io.Discard, st, leastWindow)
		}
		if err != nil && reading.lasted() < onItsWay {
			lost.Add(1)
			return nil
		}
		return err
	}
	all := make(chan struct{})
	for range streams {
		dialled, accepted := p.open(t)
		reading := new(bothReading)
		for _, st := range []mux.Stream{dialled, accepted} {
			go func() {
				<-all
				results <- use(st, reading)
			}()
		}
	}
	close(all)
	wantSteady(t, 2*streams, results)
	t.Logf("%d of %d ends of streams were lost before both ends read", lost.Load(), 2*streams)
	wantAlive(t, p)
}

// bothReading tracks whether both ends of a stream are read, and since when.
type bothReading struct {
	mu    sync.Mutex // guards below
	ends  int
	since time.Time
}

func (r *bothReading) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends++; r.ends == 2 {
		r.since = time.Now()
	}
}

// lasted returns 0 if an end is not read yet.
func (r *bothReading) lasted() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		return 0
	}
	return time.Since(r.since)
}

// steadyAbandoned uses streams that nobody reads. They must be reset, and not those
// beside them.
func steadyAbandoned(t *testing.T, connect Connect) {
	const abandoned, steadies = 8, 4
	p := connect.pair(t, full, full)
	stalled := stall(t, p, abandoned)
	results := steady(t, p, steadies, 1<<20, pace{64 << 10, 150 * time.Millisecond})
	st, peer := p.open(t)
	go io.Copy(peer, peer)
	if took, err := pingOn(st); err != nil || took > slowdown*3*time.Second {
		t.Errorf("the first ping beside abandoned streams: %v, %v, want about a second at most", took, err)
	}
	wantSteady(t, steadies, results)
	wantPings(t, st, 6, slowdown*500*time.Millisecond)
	for _, st := range stalled {
		st.SetReadDeadline(time.Now().Add(slowdown * 500 * time.Millisecond)) // for what it holds
		if _, err := io.Copy(io.Discard, st); errors.Is(err, mux.ErrReset) {
			return
		}
	}
	t.Error("no abandoned stream is reset, although there is no room for others")
}

// steadyTrickle uses readers that would take minutes to read what they hold, and writers
// that have more. They must not block a stream beside them.
func steadyTrickle(t *testing.T, connect Connect) {
	const trickles = 12
	p := connect.pair(t, full, full)
	var readers sync.WaitGroup
	defer readers.Wait()
	over := make(chan struct{})
	defer close(over)
	for range trickles {
		writer, reader := p.open(t)
		defer writer.Close()
		writing(writer)
		readers.Go(func() { trickle(reader, over) })
	}
	<-time.After(500 * time.Millisecond) // until they are full
	begun := time.Now()
	wantSteady(t, 2, steady(t, p, 2, 1<<20, pace{1 << 20, 0}))
	if took := time.Since(begun); took > slowdown*5*time.Second {
		t.Errorf("1 MiB beside readers of 2 KiB/s takes %v, want a second or two", took)
	}
}

// trickle reads 2 KiB/s from st until that fails, or over is closed.
func trickle(st mux.Stream, over <-chan struct{}) {
	for {
		select {
		case <-time.After(250 * time.Millisecond):
		case <-over:
			return
		}
		st.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := st.Read(make([]byte, 512)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// steadyGivenUp ends streams in every possible way while they hold a window. Together
// they need much more memory than there is.
func steadyGivenUp(t *testing.T, connect Connect) {
	p := connect.pair(t, full, full)
	for range 4 {
		for _, end := range []func(writer, reader mux.Stream){
			func(_, reader mux.Stream) { reader.Close() },
			func(_, reader mux.Stream) { reader.Reset() },
			func(writer, reader mux.Stream) { writer.Reset(); reader.Close() },
			func(writer, reader mux.Stream) { writer.CloseWrite(); reader.Close() },
			func(writer, reader mux.Stream) {
				reader.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				reader.Read(make([]byte, 100_000))
				writer.Close()
				reader.Reset()
			},
		} {
			for _, turned := range []bool{false, true} {
				writer, reader := p.open(t)
				if turned {
					writer, reader = reader, writer
				}
				writer.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
				await(t, "Write", writing(writer))
				end(writer, reader)
				writer.Close()
			}
		}
	}
	wantSteady(t, 4, steady(t, p, 4, 1<<20, pace{1 << 20, 0}))
	wantAlive(t, p)
}

// steadyMemory measures what a session holds while its readers are slow.
func steadyMemory(t *testing.T, connect Connect) {
	const (
		streams = 200 // which would hold 50 MiB
		limit   = 4 << 20
		beside  = 16 << 20 // memory for everything but unread data
	)
	config := mux.Config{ReceiveBuffer: limit}
	p := connect.pair(t, config, config)
	before := heap()
	results := steady(t, p, streams, leastWindow, pace{32 << 10, 300 * time.Millisecond})
	ctx, over := context.WithCancel(t.Context())
	defer over()
	measured := make(chan int64, 1)
	go func() { measured <- mostUntil(ctx.Done(), func() int64 { return heap() - before }) }()
	wantSteady(t, streams, results)
	over()
	most := <-measured
	t.Logf("slow readers take %.1f MiB, of at most %d", float64(most)/(1<<20), (2*limit+beside)>>20)
	if most > 2*limit+beside {
		t.Errorf("slow readers take %d MiB, want %d at most on both ends", most>>20, (2*limit+beside)>>20)
	}
}

// mostUntil measures at intervals until over is closed, and returns the maximum.
func mostUntil(over <-chan struct{}, measure func() int64) (most int64) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			most = max(most, measure())
		case <-over:
			return most
		}
	}
}
