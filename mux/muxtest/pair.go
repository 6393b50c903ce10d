package muxtest

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// soon is how long a test waits for what should happen at once.
var soon = suite.Soon()

// A Pair is both ends of a session, and what they run on.
type Pair struct {
	Dial, Listen         mux.Session
	DialLink, ListenLink Link
}

// A Connect function makes a session whose ends have the given limits. What it starts
// ends with t, at the latest when both ends of the session have been closed. Calls do not
// overlap.
type Connect func(t *testing.T, dial, listen mux.Config) Pair

// over returns a function that makes sessions of m over TCP.
func over(m mux.Muxer) Connect {
	return func(t *testing.T, dial, listen mux.Config) (p Pair) {
		t.Helper()
		dialled, accepted := testnet.Pair(t)
		dialLink, listenLink := NewLink(dialled), NewLink(accepted)
		p.DialLink, p.ListenLink = dialLink, listenLink
		var err error
		if p.Dial, err = m.DialSide(dialLink, dial); err != nil {
			t.Fatal("dial side:", err)
		}
		if p.Listen, err = m.ListenSide(listenLink, listen); err != nil {
			t.Fatal("listen side:", err)
		}
		return p
	}
}

// connecting is locked while a session is made, so that a Connect function need not
// handle parallel subtests.
var connecting sync.Mutex

// pair makes a session, and closes it when t is done.
func (c Connect) pair(t *testing.T, dial, listen mux.Config) Pair {
	t.Helper()
	connecting.Lock()
	defer connecting.Unlock()
	p := c(t, dial, listen)
	t.Cleanup(func() { p.close(t) })
	return p
}

func (p Pair) close(t *testing.T) {
	done := start(p.Dial.Close)
	p.Listen.Close()
	await(t, "Close of the dial side", done)
}

// open opens a stream and accepts it.
func (p Pair) open(t *testing.T) (dialled, accepted mux.Stream) {
	t.Helper()
	dialled = open(t, p.Dial)
	return dialled, accept(t, p.Listen)
}

func open(t *testing.T, s mux.Session) mux.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	st, err := s.Open(ctx)
	if err != nil {
		t.Fatal("open:", err)
	}
	return st
}

func accept(t *testing.T, s mux.Session) mux.Stream {
	t.Helper()
	st, err := awaitValue(t, "Accept", startValue(func() (mux.Stream, error) { return s.Accept(t.Context()) }))
	if err != nil {
		t.Fatal("accept:", err)
	}
	return st
}

// start runs f in the background and returns a channel for its error.
func start(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

// letBlock lets calls that were started reach the point where they block. If it is too
// short, a test sees less than it could, but does not fail.
func letBlock() { <-time.After(20 * time.Millisecond) }

// rounds returns how often to repeat what may go wrong by chance: n times, or a quarter of that
// with -short.
func rounds(n int) int {
	if testing.Short() {
		return n / 4
	}
	return n
}

// inParallel runs parts of a promise in parallel; they mostly wait. Do not use it where
// time or memory is measured.
func inParallel(t *testing.T, parts map[string]func(t *testing.T)) {
	var all sync.WaitGroup
	for name, test := range parts {
		all.Go(func() { t.Run(name, test) })
	}
	all.Wait()
}

type result[T any] struct {
	value T
	err   error
}

func startValue[T any](f func() (T, error)) <-chan result[T] {
	c := make(chan result[T], 1)
	go func() {
		v, err := f()
		c <- result[T]{v, err}
	}()
	return c
}

// await returns the error from c, which must come soon.
func await(t *testing.T, what string, c <-chan error) error {
	t.Helper()
	return awaitWithin(t, soon, what, c)
}

// awaitLong is await for what takes a while.
func awaitLong(t *testing.T, what string, c <-chan error) error {
	t.Helper()
	return awaitWithin(t, suite.Limit()*3/4, what, c)
}

func awaitWithin(t *testing.T, d time.Duration, what string, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(d):
		t.Fatalf("%s blocks for more than %v", what, d)
		return nil
	}
}

func awaitValue[T any](t *testing.T, what string, c <-chan result[T]) (T, error) {
	t.Helper()
	return awaitValueWithin(t, soon, what, c)
}

func awaitValueWithin[T any](t *testing.T, d time.Duration, what string, c <-chan result[T]) (T, error) {
	t.Helper()
	select {
	case r := <-c:
		return r.value, r.err
	case <-time.After(d):
		t.Fatalf("%s blocks for more than %v", what, d)
		panic("unreachable")
	}
}

// readAll reads st up to its end, which must come soon.
func readAll(t *testing.T, st mux.Stream) ([]byte, error) {
	t.Helper()
	return awaitValue(t, "Read", startValue(func() ([]byte, error) { return io.ReadAll(st) }))
}

// readOut is [readAll] for a stream that may have no end, because its peer goes on
// writing until something stops it. It keeps only the number of bytes: gigabytes could
// arrive before the test gives up, and while the runtime copies them the whole process
// stands still, for longer than later tests wait.
func readOut(t *testing.T, st mux.Stream) (int64, error) {
	t.Helper()
	return awaitValue(t, "Read", startValue(func() (int64, error) { return io.Copy(io.Discard, st) }))
}

// awaitEnd returns why s ended, which must happen soon.
func awaitEnd(t *testing.T, s mux.Session) error {
	t.Helper()
	select {
	case <-s.Context().Done():
		return context.Cause(s.Context())
	case <-time.After(soon):
		t.Fatalf("the session has not ended after %v", soon)
		return nil
	}
}

// echo serves s: it writes back what it reads on every stream, until the end.
func echo(s mux.Session) error {
	for {
		st, err := s.Accept(context.Background())
		if err != nil {
			return err
		}
		go func() {
			defer st.Close()
			io.Copy(st, st)
			st.CloseWrite()
		}()
	}
}

// roundTrip gets an answer from the peer's echo on a new stream.
func roundTrip(t *testing.T, s mux.Session) {
	t.Helper()
	st := open(t, s)
	defer st.Close()
	st.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(st, "ping"); err != nil {
		t.Fatal("write:", err)
	}
	if _, err := io.ReadFull(st, make([]byte, 4)); err != nil {
		t.Fatal("read:", err)
	}
}
