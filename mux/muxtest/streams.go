package muxtest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/backdial/backdial/mux"
)

func netConn(t *testing.T, connect Connect) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		c1, c2 = p.open(t)
		return c1, c2, func() {
			c1.Close()
			c2.Close()
			p.close(t)
		}, nil
	})
}

// eofOnlyAfterEnd ends sessions in the middle of a stream, in every possible way.
func eofOnlyAfterEnd(t *testing.T, connect Connect) {
	ends := map[string]func(p Pair){
		"carrier cut":     func(p Pair) { p.DialLink.Cut() },
		"carrier closed":  func(p Pair) { p.DialLink.Close() },
		"session closed":  func(p Pair) { p.Dial.Close() },
		"session drained": func(p Pair) { p.Dial.Shutdown(canceled(t)) },
	}
	parts := make(map[string]func(t *testing.T))
	for name, end := range ends {
		parts[name] = func(t *testing.T) {
			for range rounds(20) {
				p := connect.pair(t, mux.Config{}, mux.Config{})
				writer, reader := p.open(t)
				sent := bytes.Repeat([]byte("0123456789"), 10_000)
				writing := start(func() error {
					defer writer.Close() // as a writer does, whatever happens
					for {
						if _, err := writer.Write(sent); err != nil {
							return err
						}
					}
				})
				// The end comes when the transfer is well under way.
				if _, err := io.CopyN(io.Discard, reader, 300_000); err != nil {
					t.Fatal("read:", err)
				}
				ending := start(func() error { end(p); return nil })
				_, err := readOut(t, reader)
				if err == nil {
					t.Fatal("reader saw a clean end of the stream, although the session died in the middle of it")
				}
				if errors.Is(err, io.EOF) || !errors.Is(err, mux.ErrSessionEnded) {
					t.Errorf("read: error %q, want one that matches mux.ErrSessionEnded and not io.EOF", err)
				}
				await(t, "Write", writing)
				await(t, name, ending)
				p.close(t)
			}
		}
	}
	inParallel(t, parts)
}

// writtenArrives closes the stream and the session as soon as the last Write has
// returned.
func writtenArrives(t *testing.T, connect Connect) {
	finish := map[string]func(s mux.Stream) error{
		"Close":      mux.Stream.Close,
		"CloseWrite": mux.Stream.CloseWrite,
	}
	sent := bytes.Repeat([]byte("0123456789"), 20_000)
	parts := make(map[string]func(t *testing.T))
	for name, finish := range finish {
		parts[name] = func(t *testing.T) {
			for i := range rounds(40) {
				p := connect.pair(t, mux.Config{}, mux.Config{})
				writer := open(t, p.Dial)
				closing := start(func() error {
					if _, err := writer.Write(sent); err != nil {
						return err
					}
					if err := finish(writer); err != nil {
						return err
					}
					return p.Dial.Close()
				})
				if i%2 == 0 { // accept when everything is over
					awaitEnd(t, p.Listen)
				}
				got, err := readAll(t, accept(t, p.Listen))
				if err != nil || !bytes.Equal(got, sent) {
					t.Fatalf("reader got %d of %d bytes, and error %v", len(got), len(sent), err)
				}
				if err := await(t, "Write and Close", closing); err != nil {
					t.Fatal("writer:", err)
				}
				p.close(t)
			}
		}
	}
	inParallel(t, parts)
}

func halfClose(t *testing.T, connect Connect) {
	p := connect.pair(t, mux.Config{}, mux.Config{})
	check := func(first, second mux.Stream) {
		t.Helper()
		io.WriteString(first, "request")
		if err := first.CloseWrite(); err != nil {
			t.Error("CloseWrite:", err)
		}
		if err := first.CloseWrite(); err != nil {
			t.Error("second CloseWrite:", err)
		}
		if _, err := first.Write([]byte("more")); err == nil {
			t.Error("Write after CloseWrite succeeds")
		}
		if got, err := readAll(t, second); string(got) != "request" || err != nil {
			t.Errorf("request: %q, %v", got, err)
		}
		// More than a window, so that the open direction depends on credit from the closed
		// one.
		answer := bytes.Repeat([]byte("0123456789"), 100_000)
		writing := start(func() error {
			_, err := second.Write(answer)
			return errors.Join(err, second.CloseWrite())
		})
		if got, err := readAll(t, first); !bytes.Equal(got, answer) || err != nil {
			t.Errorf("answer: %d of %d bytes, %v", len(got), len(answer), err)
		}
		if err := await(t, "Write", writing); err != nil {
			t.Error("answer:", err)
		}
		first.Close()
		second.Close()
	}
	dialled, accepted := p.open(t)
	check(dialled, accepted)
	dialled, accepted = p.open(t)
	check(accepted, dialled)
}

func movedDeadline(t *testing.T, connect Connect) {
	config := mux.Config{KeepAlive: -1, Linger: -1}
	p := connect.pair(t, config, config)
	buf := make([]byte, 1<<20)
	check := func(t *testing.T, st mux.Stream) {
		for name, c := range map[string]struct {
			call func() error
			move func(time.Time) error
		}{
			"Read":  {func() error { _, err := st.Read(buf); return err }, st.SetReadDeadline},
			"Write": {func() error { _, err := st.Write(buf); return err }, st.SetWriteDeadline},
		} {
			move := func(at time.Time) {
				t.Helper()
				if err := await(t, "moving a deadline", start(func() error { return c.move(at) })); err != nil {
					t.Errorf("Set%sDeadline: %v", name, err)
				}
			}
			check := func(err error) {
				t.Helper()
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: error %v, want os.ErrDeadlineExceeded", name, err)
				}
				if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
					t.Errorf("%s: error %v is not a timeout in the sense of net.Error", name, err)
				}
			}
			for _, at := range []time.Duration{-time.Second, 10 * time.Millisecond} {
				move(time.Time{})
				blocked := start(c.call)
				move(time.Now().Add(time.Hour))
				letBlock()
				move(time.Now().Add(at))
				check(await(t, name, blocked))
			}
			early := time.Now().Add(100 * time.Millisecond)
			move(early)
			blocked := start(c.call)
			move(time.Now().Add(time.Hour))
			if time.Now().Before(early) { // or it was moved too late
				select {
				case err := <-blocked:
					t.Errorf("%s: error %v, although the deadline was moved to later", name, err)
					continue
				case <-time.After(time.Until(early) + 50*time.Millisecond):
				}
			}
			move(time.Now().Add(-time.Second))
			check(await(t, name, blocked))
		}
	}
	st, _ := p.open(t)
	t.Run("peer does not read", func(t *testing.T) { check(t, st) })
	st, _ = p.open(t)
	p.DialLink.Freeze()
	t.Run("carrier stuck", func(t *testing.T) { check(t, st) })
	t.Run("on time", func(t *testing.T) { deadlineOnTime(t, connect) })
}

func matchingErrors(t *testing.T, connect Connect) {
	p := connect.pair(t, mux.Config{}, mux.Config{})
	dialled, _ := p.open(t)
	buf := make([]byte, 1)

	dialled.Close()
	_, readErr := dialled.Read(buf)
	_, writeErr := dialled.Write(buf)
	for _, err := range []error{readErr, writeErr, dialled.SetDeadline(time.Now())} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close of the stream: error %v, want net.ErrClosed", err)
		}
	}

	open, _ := p.open(t)
	p.Dial.Close()
	_, readErr = open.Read(buf)
	_, writeErr = open.Write(buf)
	st, openErr := p.Dial.Open(t.Context())
	if st != nil {
		t.Error("Open returns a stream and an error")
	}
	st, acceptErr := p.Dial.Accept(t.Context())
	if st != nil {
		t.Error("Accept returns a stream and an error")
	}
	for _, err := range []error{readErr, writeErr, openErr, acceptErr, awaitEnd(t, p.Dial)} {
		if !errors.Is(err, net.ErrClosed) || errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("after Close of the session: error %v, want net.ErrClosed and not mux.ErrSessionEnded", err)
		}
	}

	end := awaitEnd(t, p.Listen)
	_, openErr = p.Listen.Open(t.Context())
	for _, err := range []error{end, openErr} {
		if !errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			t.Errorf("after Close by the peer: error %v, want mux.ErrSessionEnded only", err)
		}
	}
	if !errors.Is(end, mux.ErrClosedByPeer) {
		t.Errorf("after Close by the peer: cause %v, want mux.ErrClosedByPeer", end)
	}
	cut := connect.pair(t, mux.Config{}, mux.Config{})
	cut.DialLink.Cut()
	if end := awaitEnd(t, cut.Listen); errors.Is(end, mux.ErrClosedByPeer) {
		t.Errorf("after a cut: cause %v, want no mux.ErrClosedByPeer", end)
	}
}
