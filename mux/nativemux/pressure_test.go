package nativemux_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux"
)

// The tests of this file have default settings, a network, and more unread than a session
// may hold.

// transfer carries size bytes on each of n streams from the listening end, which writes
// them at once, to the dialling one, which reads as read does. It returns the errors of
// readers.
func transfer(t *testing.T, p duo, n, size int, read func(mux.Stream) error) (failed []error) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	fail := func(err error) {
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
		}
	}
	for range n {
		st, peer := openPair(t, p.dial, p.listen)
		wg.Go(func() {
			peer.Write(make([]byte, size))
			peer.CloseWrite()
		})
		wg.Go(func() {
			defer st.Close()
			fail(read(st))
		})
	}
	wg.Wait()
	return failed
}

// steadily reads 64 KiB at a time, and rests in between.
func steadily(rest time.Duration) func(mux.Stream) error {
	return func(st mux.Stream) error {
		for {
			switch _, err := io.CopyN(io.Discard, st, 64<<10); err {
			case nil:
				<-time.After(rest)
			case io.EOF:
				return nil
			default:
				return err
			}
		}
	}
}

// pings measures the slowest ping until stop is called.
func pings(t *testing.T, s mux.Session) (stop func() time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	slowest := make(chan time.Duration)
	go func() {
		var most time.Duration
		for ctx.Err() == nil {
			began := time.Now()
			if s.Ping(ctx) == nil {
				most = max(most, time.Since(began))
			}
			<-time.After(20 * time.Millisecond)
		}
		slowest <- most
	}()
	return func() time.Duration { cancel(); return <-slowest }
}

// beside echoes on a stream until stop is called, and returns the longest time.
func beside(t *testing.T, p duo) (stop func() time.Duration) {
	st, peer := openPair(t, p.dial, p.listen)
	go io.Copy(peer, peer)
	done, slowest := make(chan struct{}), make(chan time.Duration)
	go func() {
		defer st.Close()
		var most time.Duration
		for {
			began := time.Now()
			st.SetDeadline(began.Add(patience))
			io.WriteString(st, "hello")
			if _, err := io.ReadFull(st, make([]byte, 5)); err != nil {
				t.Error("an echo beside it:", err)
			}
			most = max(most, time.Since(began))
			select {
			case <-done:
				slowest <- most
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() time.Duration { close(done); return <-slowest }
}

// times is how often a test that could be flaky does its work.
var times = flag.Int("times", 1, "how often to repeat TestEchoes")

func report(t *testing.T, failed []error) {
	t.Helper()
	for i, err := range failed {
		if i == 3 {
			t.Errorf("and %d more", len(failed)-i)
			return
		}
		t.Error("a stream that is read:", err)
	}
}

// TestSteadyReaders reads more streams than there is memory for.
func TestSteadyReaders(t *testing.T) {
	for n, rest := range map[int]time.Duration{
		20:   300 * time.Millisecond,
		50:   300 * time.Millisecond,
		200:  time.Second, // slower than the network, so memory fills up
		300:  300 * time.Millisecond,
		1000: 300 * time.Millisecond,
	} {
		if n > 200 && raceDetector || !long.Asked() && (n > 200 || n > 50 && raceDetector) {
			continue
		}
		simulate(t, fmt.Sprint(n), func(t *testing.T) {
			p := newNetwork(t, conditions{}).sessions(t, mux.Config{})
			pinged, echoed := pings(t, p.dial), beside(t, p)
			began := time.Now()
			report(t, transfer(t, p, n, 1<<20, steadily(rest)))
			took := time.Since(began)
			ping, echo := pinged(), echoed()
			t.Logf("took %v, slowest ping %v, echo %v", took, ping, echo)
			if max(ping, echo) > 500*time.Millisecond {
				t.Errorf("slowest ping %v, echo %v", ping, echo)
			}
		})
	}
}

// TestBursts uses readers that rest for seconds, and then read all there is.
func TestBursts(t *testing.T) {
	long.OnlyWithRace(t)
	synctest.Test(t, bursts)
}

func bursts(t *testing.T) {
	p := newNetwork(t, conditions{}).sessions(t, mux.Config{})
	report(t, transfer(t, p, 200, 1<<20, func(st mux.Stream) error {
		for {
			switch _, err := io.CopyN(io.Discard, st, 256<<10); err {
			case nil:
				<-time.After(3 * time.Second)
			case io.EOF:
				return nil
			default:
				return err
			}
		}
	}))
}

// TestAbandoned lets unread streams take all memory: a new one must go on.
func TestAbandoned(t *testing.T) {
	long.OnlyWithRace(t)
	synctest.Test(t, abandoned)
}

func abandoned(t *testing.T) {
	p := newNetwork(t, conditions{}).sessions(t, mux.Config{})
	var streams []mux.Stream
	for range 400 {
		st, peer := openPair(t, p.dial, p.listen)
		streams = append(streams, st)
		go flood(peer)
	}
	for range 20 { // they fill the memory, and then some are found abandoned
		began := time.Now()
		st, peer := openPair(t, p.dial, p.listen)
		go flood(peer)
		if _, err := io.CopyN(io.Discard, st, 1<<20); err != nil {
			t.Error("a stream that is read:", err)
		}
		st.Close()
		t.Logf("1 MiB took %v", time.Since(began))
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("1 MiB took %v", took)
		}
	}
	reset := 0
	for _, st := range streams {
		st.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := io.Copy(io.Discard, st); errors.Is(err, mux.ErrReset) {
			reset++
		}
		st.Close()
	}
	t.Logf("%d streams were reset", reset)
	if reset == 0 {
		t.Error("no stream was reset")
	}
}

// TestTrickle puts streams that are read far too slowly beside one that is read.
func TestTrickle(t *testing.T) {
	long.OnlyWithRace(t)
	synctest.Test(t, trickle)
}

func trickle(t *testing.T) {
	p := newNetwork(t, conditions{}).sessions(t, mux.Config{})
	ended := make(chan error, 400)
	for range cap(ended) {
		st, peer := openPair(t, p.dial, p.listen)
		go flood(peer)
		go func() {
			defer st.Close()
			var err error
			for range 20 {
				if _, err = io.CopyN(io.Discard, st, 1<<10); err != nil {
					break
				}
				<-time.After(500 * time.Millisecond)
			}
			ended <- err
		}()
	}
	echoed := beside(t, p)
	<-time.After(3 * time.Second)
	st, peer := openPair(t, p.dial, p.listen)
	go flood(peer)
	began := time.Now()
	if _, err := io.CopyN(io.Discard, st, 4<<20); err != nil {
		t.Error("a stream that is read:", err)
	}
	took := time.Since(began)
	st.Close()
	reset := 0
	for range cap(ended) {
		if err := <-ended; err != nil {
			reset++
		}
	}
	echo := echoed()
	t.Logf("%d were reset, 4 MiB took %v, slowest echo %v", reset, took, echo)
	if took > 5*time.Second || echo > time.Second {
		t.Errorf("4 MiB took %v, slowest echo %v", took, echo)
	}
}

// TestEchoes echoes on streams at once, on each more than its windows.
func TestEchoes(t *testing.T) {
	long.Only(t)
	for _, size := range []int{1 << 20, 8 << 20} {
		if size > 1<<20 && raceDetector {
			continue
		}
		t.Run(fmt.Sprint(size>>20, " MiB"), func(t *testing.T) {
			leak.Check(t)
			p := both(t, mux.Config{})
			for range *times {
				var wg sync.WaitGroup
				for range 64 {
					st, peer := openPair(t, p.dial, p.listen)
					go func() {
						defer peer.Close()
						io.Copy(peer, peer)
						peer.CloseWrite()
					}()
					wg.Go(func() {
						st.Write(make([]byte, size))
						st.CloseWrite()
					})
					wg.Go(func() {
						defer st.Close()
						if n, err := io.Copy(io.Discard, st); n != int64(size) || err != nil {
							t.Errorf("an echo of %d bytes, %v", n, err)
						}
					})
				}
				wg.Wait()
			}
		})
	}
}

// TestBothWays uses ends that read only after they have written, with less memory than
// all of them write.
func TestBothWays(t *testing.T) {
	long.OnlyWithRace(t)
	synctest.Test(t, bothWays)
}

func bothWays(t *testing.T) {
	p := newNetwork(t, conditions{}).sessions(t, mux.Config{})
	const size = 256 << 10
	var wg sync.WaitGroup
	for range 300 {
		st, peer := openPair(t, p.dial, p.listen)
		for _, st := range []mux.Stream{st, peer} {
			wg.Go(func() {
				defer st.Close()
				st.SetDeadline(time.Now().Add(2 * patience))
				if n, err := st.Write(make([]byte, size)); err != nil {
					t.Errorf("wrote %d bytes, %v", n, err)
				}
				st.CloseWrite()
				if n, err := io.Copy(io.Discard, st); n != size || err != nil {
					t.Errorf("read %d bytes, %v", n, err)
				}
			})
		}
	}
	wg.Wait()
}

// both makes a session over the loopback interface, until t ends.
func both(t *testing.T, config mux.Config) duo {
	t.Helper()
	server, client, _ := connection(t)
	d, l := over(t, server, client, config, config)
	return duo{d, l}
}
