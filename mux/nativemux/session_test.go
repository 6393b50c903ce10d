package nativemux_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
)

func TestNeedsStreams(t *testing.T) {
	ours, theirs := testnet.Pair(t)
	_, err := nativemux.New().DialSide(ours, mux.Config{})
	if err == nil || !strings.Contains(err.Error(), "no streams of its own") {
		t.Errorf("error %v of a session over TCP", err)
	}
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %v: a connection that is not used stays open", err)
	}
}

// await waits for what a goroutine is about to do.
func await[T any](t *testing.T, what string, f func() T) T {
	t.Helper()
	c := make(chan T, 1)
	go func() { c <- f() }()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s blocks", what)
		panic("unreachable")
	}
}

func awaitEnd(t *testing.T, s mux.Session) error {
	t.Helper()
	await(t, "the end of the session", func() struct{} { <-s.Context().Done(); return struct{}{} })
	return context.Cause(s.Context())
}

// In TestHostileControl clients send invalid data on the control stream.
func TestHostileControl(t *testing.T) {
	message := func(values ...uint64) (b []byte) {
		for _, v := range values {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	hello := message(0, 256)
	for name, says := range map[string][]byte{
		"no hello":                  message(2, 1),
		"hello twice":               slices.Concat(hello, hello),
		"unknown kind":              slices.Concat(hello, message(99)),
		"accepts what was not open": slices.Concat(hello, message(1, 1)),
		"accepts 2^63":              slices.Concat(hello, message(1, 1<<63)),
		"answers what was not said": slices.Concat(hello, message(6)),
		"closes twice":              slices.Concat(hello, message(5, 1<<40, 0, 5, 0, 0)),
		"too many unfinished":       slices.Concat(hello, message(5, 0, 1<<40)),
		"credit nobody agreed to":   slices.Concat(hello, message(8, 1<<20, 0)),
		"reads what was not sent":   slices.Concat(hello, message(2, 1<<63, 8, 1<<20, 1, 4, 1)),
		"takes less than before":    slices.Concat(hello, message(2, 1<<63, 8, 1<<20, 0, 8, 1<<10, 0)),
		"ends what was not open":    slices.Concat(hello, message(2, 1<<63, 9, 1, 4, 1)),
		"too many demands":          slices.Concat(hello, message(2, 1<<63, 10, 1<<40)),
		"a number too long":         bytes.Repeat([]byte{0xff}, 100),
	} {
		t.Run(name, func(t *testing.T) {
			leak.Parallel(t)
			server, client, _ := connection(t)
			s, err := nativemux.New().DialSide(server, mux.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := client.Write(says); err != nil {
				t.Fatal("write:", err)
			}
			cause := awaitEnd(t, s)
			if !errors.Is(cause, mux.ErrSessionEnded) || !errors.Is(cause, mux.ErrProtocol) {
				t.Errorf("cause %v, want mux.ErrProtocol", cause)
			}
		})
	}
}

// TestChatter uses a client that pings without end and does not read.
func TestChatter(t *testing.T) {
	leak.Check(t)
	server, client, _ := connection(t)
	s, err := nativemux.New().DialSide(server, mux.Config{Linger: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := client.Write([]byte{0, 1}); err != nil {
		t.Fatal("write:", err)
	}
	pings := bytes.Repeat([]byte{2, 7}, 64<<10)
	goroutines := runtime.NumGoroutine()
	for range 16 {
		if _, err := client.Write(pings); err != nil {
			t.Fatal("write:", err)
		}
	}
	if n := runtime.NumGoroutine(); n > goroutines+10 {
		t.Errorf("%d goroutines, after %d", n, goroutines)
	}
	if err := s.Context().Err(); err != nil {
		t.Error("the session ended:", context.Cause(s.Context()))
	}
}

// plainClient is a client that speaks the carrier and knows nothing of this package, like
// a web page. It echoes.
func plainClient(t *testing.T, config mux.Config) (s mux.Session, client carrier.StreamConn) {
	t.Helper()
	server, conn, _ := connection(t)
	s, err := nativemux.New().DialSide(server, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, conn.(carrier.StreamConn)
}

func echo(client carrier.StreamConn) {
	for {
		st, err := client.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			io.Copy(st, st)
			st.CloseWrite()
		}()
	}
}

func TestPlainClient(t *testing.T) {
	leak.Parallel(t)
	const backlog = 4
	s, client := plainClient(t, mux.Config{AcceptBacklog: backlog, KeepAlive: 50 * time.Millisecond})
	go echo(client)
	for range 5 * backlog { // it never says that it has accepted any
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		st, err := s.Open(ctx)
		cancel()
		if err != nil {
			t.Fatal("open:", err)
		}
		io.WriteString(st, "hello")
		st.CloseWrite()
		got, err := io.ReadAll(st)
		if string(got) != "hello" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
		st.Close()
	}
	// Nor is it expected to answer pings.
	if err := s.Context().Err(); err != nil {
		t.Error("the session ended:", context.Cause(s.Context()))
	}
}

// TestPlainClientGetsLastWords closes a session with a client that cannot say that it has
// everything.
func TestPlainClientGetsLastWords(t *testing.T) {
	leak.Parallel(t)
	s, client := plainClient(t, mux.Config{})
	st, err := s.Open(t.Context())
	if err != nil {
		t.Fatal("open:", err)
	}
	said := bytes.Repeat([]byte("0123456789"), 10_000)
	if _, err := st.Write(said); err != nil {
		t.Fatal("write:", err)
	}
	st.Close()
	got := make(chan []byte, 1)
	go func() {
		defer close(got)
		if st, err := client.AcceptStream(context.Background()); err == nil {
			if b, err := io.ReadAll(st); err == nil {
				got <- b
			}
		}
	}()
	s.Close()
	if b := await(t, "reading", func() []byte { return <-got }); !bytes.Equal(b, said) {
		t.Errorf("got %d of %d bytes", len(b), len(said))
	}
}

// TestManyStreams uses a server that opens streams that nobody asked for.
func TestManyStreams(t *testing.T) {
	leak.Check(t)
	server, client, _ := connection(t)
	s, err := nativemux.New().ListenSide(client, mux.Config{AcceptBacklog: 16, MaxStreams: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := heap()
	const many = 10_000
	for range many {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		st, err := server.(carrier.StreamConn).OpenStream(ctx)
		cancel()
		if err != nil {
			t.Fatal("open:", err)
		}
		st.Write([]byte("anybody there?"))
		st.CloseWrite()
		st.CancelRead(0) // so that it is not this end that remembers it
	}
	for range 16 {
		st := await(t, "Accept", func() mux.Stream { st, _ := s.Accept(t.Context()); return st })
		if got, err := io.ReadAll(st); string(got) != "anybody there?" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		st.Close()
	}
	if err := s.Context().Err(); err != nil {
		t.Error("the session ended:", context.Cause(s.Context()))
	}
	// What was refused goes once both ends know.
	grown := heap() - before
	for deadline := time.Now().Add(patience); grown > 64<<20 && time.Now().Before(deadline); {
		<-time.After(50 * time.Millisecond)
		grown = heap() - before
	}
	if grown > 64<<20 {
		t.Errorf("%d streams hold %d MiB", many, grown>>20)
	}
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestBothClose closes both ends at once, in the middle of transfers both ways.
func TestBothClose(t *testing.T) {
	leak.Check(t)
	for range 10 {
		p := connect(t, mux.Config{}, mux.Config{})
		st, err := p.Dial.Open(t.Context())
		if err != nil {
			t.Fatal("open:", err)
		}
		accepted := await(t, "Accept", func() mux.Stream { st, _ := p.Listen.Accept(t.Context()); return st })
		write := func(c net.Conn) {
			for buf := make([]byte, 64<<10); ; {
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		}
		go write(st)
		go write(accepted)
		io.CopyN(io.Discard, accepted, 100<<10)
		began := time.Now()
		closed := make(chan error, 2)
		go func() { closed <- p.Dial.Close() }()
		go func() { closed <- p.Listen.Close() }()
		for range 2 {
			if err := await(t, "Close", func() error { return <-closed }); err != nil {
				t.Error("close:", err)
			}
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("closing both ends took %v: they wait for each other", took)
		}
		for _, s := range []mux.Session{p.Dial, p.Listen} {
			if cause := awaitEnd(t, s); !errors.Is(cause, net.ErrClosed) {
				t.Errorf("cause %v, want net.ErrClosed", cause)
			}
		}
	}
}

// TestIdleStreamsCostNoGoroutine lets readers of streams wait. In a bubble no time passes
// until they do: a stream whose reader is late is neglected, and gets a goroutine that
// fetches.
func TestIdleStreamsCostNoGoroutine(t *testing.T) { synctest.Test(t, idleStreamsCostNoGoroutine) }

func idleStreamsCostNoGoroutine(t *testing.T) {
	p := newNetwork(t, conditions{}).sessions(t, mux.Config{})
	var streams []mux.Stream
	before := runtime.NumGoroutine()
	for range 100 {
		st, peer := openPair(t, p.dial, p.listen)
		for _, st := range []mux.Stream{st, peer} {
			streams = append(streams, st)
			go io.Copy(io.Discard, st)
		}
	}
	<-time.After(2 * neglected) // longer than it takes to find a stream neglected
	synctest.Wait()
	if n := runtime.NumGoroutine() - before; n > len(streams)+10 {
		t.Errorf("%d goroutines for %d streams that are read", n, len(streams))
	}
}
