package muxtest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// soon is how long a test waits for what should happen at once: long enough
// for a loaded machine, short enough to tell it from never.
const soon = 20 * time.Second

// A pair is a session with both of its ends.
type pair struct {
	t                    *testing.T
	dial, listen         mux.Session
	dialLink, listenLink *link
}

// newPair makes a session of m over a link. It is closed when t is done.
func newPair(t *testing.T, m mux.Muxer, dial, listen mux.Config) *pair {
	t.Helper()
	p := &pair{t: t}
	p.dialLink, p.listenLink = newLinks(t)
	var err error
	if p.dial, err = m.DialSide(p.dialLink, dial); err != nil {
		t.Fatal("dial side:", err)
	}
	if p.listen, err = m.ListenSide(p.listenLink, listen); err != nil {
		t.Fatal("listen side:", err)
	}
	t.Cleanup(p.close)
	return p
}

func (p *pair) close() {
	done := start(p.dial.Close)
	p.listen.Close()
	await(p.t, "Close of the dial side", done)
}

// open opens a stream and accepts it.
func (p *pair) open() (dialled, accepted mux.Stream) {
	p.t.Helper()
	dialled = open(p.t, p.dial)
	return dialled, accept(p.t, p.listen)
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
	st, err := awaitValue(t, "Accept", startValue(s.Accept))
	if err != nil {
		t.Fatal("accept:", err)
	}
	return st
}

// start runs f in the background and returns where its error will be.
func start(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
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

// await returns the error that what ends with, which it has to do soon.
func await(t *testing.T, what string, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(soon):
		t.Fatalf("%s blocks for more than %v", what, soon)
		return nil
	}
}

func awaitValue[T any](t *testing.T, what string, c <-chan result[T]) (T, error) {
	t.Helper()
	select {
	case r := <-c:
		return r.value, r.err
	case <-time.After(soon):
		t.Fatalf("%s blocks for more than %v", what, soon)
		panic("unreachable")
	}
}

// awaitEnd returns why s ended, which it has to do soon.
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
		st, err := s.Accept()
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

// roundTrip has the peer's echo answer on a new stream.
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
