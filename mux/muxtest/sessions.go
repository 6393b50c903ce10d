package muxtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// canceled returns a context that has ended.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("for a reason of its own"))
	return ctx
}

func openIsImmediate(t *testing.T, connect Connect) {
	p := connect.pair(t, mux.Config{}, mux.Config{})
	dialled, accepted := p.open(t) // nothing is written
	accepted.SetDeadline(time.Now().Add(soon))
	dialled.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(accepted, "220 ready"); err != nil {
		t.Fatal("the acceptor cannot speak first:", err)
	}
	if _, err := io.ReadFull(dialled, make([]byte, 9)); err != nil {
		t.Fatal("read:", err)
	}

	// Nor does Open wait for an answer.
	frozen := connect.pair(t, mux.Config{KeepAlive: -1, Linger: -1}, mux.Config{KeepAlive: -1, Linger: -1})
	frozen.DialLink.Freeze()
	st := open(t, frozen.Dial)
	if _, err := io.WriteString(st, "hello"); err != nil {
		t.Fatal("a Write right after Open:", err)
	}
}

func openEndsWithContext(t *testing.T, connect Connect) {
	const backlog = 8
	config := mux.Config{AcceptBacklog: backlog}
	p := connect.pair(t, config, config)
	var streams []mux.Stream
	for range backlog { // nobody accepts them
		streams = append(streams, open(t, p.Dial))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	st, err := awaitValue(t, "Open", startValue(func() (mux.Stream, error) { return p.Dial.Open(ctx) }))
	if st != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open with a full backlog: %v, %v, want context.DeadlineExceeded", st, err)
	}
	if st, err := p.Dial.Open(canceled(t)); st != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that is over: %v, %v, want context.Canceled", st, err)
	}

	// Once the peer accepts, everything goes on, and the waiting streams are whole.
	opening := startValue(func() (mux.Stream, error) { return p.Dial.Open(t.Context()) })
	go echo(p.Listen)
	if _, err := awaitValue(t, "Open", opening); err != nil {
		t.Error("Open after the peer accepted:", err)
	}
	for _, st := range streams {
		st.SetDeadline(time.Now().Add(soon))
		io.WriteString(st, "x")
		if _, err := io.ReadFull(st, make([]byte, 1)); err != nil {
			t.Error("stream from the backlog:", err)
		}
	}
	// A context bounds the call, not the stream.
	ctx, cancel = context.WithCancel(t.Context())
	st, err = p.Dial.Open(ctx)
	if err != nil {
		t.Fatal("open:", err)
	}
	cancel()
	io.WriteString(st, "x")
	if _, err := io.ReadFull(st, make([]byte, 1)); err != nil {
		t.Error("stream whose context has ended:", err)
	}
}

func writeEnds(t *testing.T, connect Connect) {
	forever := func(st mux.Stream) <-chan error {
		return start(func() error {
			buf := make([]byte, 64<<10)
			for {
				if _, err := st.Write(buf); err != nil {
					return err
				}
			}
		})
	}
	t.Run("peer closed the stream", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		writer, reader := p.open(t)
		writing := forever(writer)
		io.ReadFull(reader, make([]byte, 10))
		reader.Close()
		if err := await(t, "Write", writing); !errors.Is(err, mux.ErrReset) {
			t.Errorf("error %v, want mux.ErrReset", err)
		}
	})
	t.Run("peer closed the stream while the writer waited", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		writer, reader := p.open(t)
		writer.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		await(t, "Write", forever(writer)) // the window is full now
		writer.SetWriteDeadline(time.Time{})
		writing := forever(writer)
		reader.Close()
		if err := await(t, "Write", writing); !errors.Is(err, mux.ErrReset) {
			t.Errorf("error %v, want mux.ErrReset", err)
		}
		go echo(p.Listen)
		roundTrip(t, p.Dial) // the session goes on
	})
	t.Run("carrier cut", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		writer, _ := p.open(t)
		writing := forever(writer)
		p.ListenLink.Cut()
		if err := await(t, "Write", writing); !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("error %v, want mux.ErrSessionEnded", err)
		}
	})
	t.Run("peer vanished", func(t *testing.T) {
		config := mux.Config{KeepAlive: 250 * time.Millisecond, Linger: -1}
		p := connect.pair(t, config, config)
		writer, reader := p.open(t)
		io.WriteString(reader, "ready") // a sign of life
		if _, err := io.ReadFull(writer, make([]byte, 5)); err != nil {
			t.Fatal("read:", err)
		}
		writing := forever(writer)
		p.ListenLink.Freeze()
		if err := await(t, "Write", writing); !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("error %v, want mux.ErrSessionEnded", err)
		}
	})
}

func closeWakes(t *testing.T, connect Connect) {
	full := func(p Pair) mux.Stream { // a stream whose window is full
		st, _ := p.open(t)
		st.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		st.Write(make([]byte, 1<<20))
		st.SetWriteDeadline(time.Time{})
		return st
	}
	blocked := func(p Pair, st mux.Stream) map[string]<-chan error {
		return map[string]<-chan error{
			"Read": start(func() error { _, err := st.Read(make([]byte, 1)); return err }),
			"Write": start(func() error {
				for buf := make([]byte, 64<<10); ; { // full may have given up too soon
					if _, err := st.Write(buf); err != nil {
						return err
					}
				}
			}),
		}
	}
	check := func(t *testing.T, blocked map[string]<-chan error) {
		t.Helper()
		for name, c := range blocked {
			if err := await(t, name, c); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: error %v, want net.ErrClosed", name, err)
			}
		}
	}
	t.Run("Stream", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		st := full(p)
		calls := blocked(p, st)
		letBlock()
		for range 3 {
			if err := st.Close(); err != nil {
				t.Error("Close:", err)
			}
		}
		check(t, calls)
	})
	t.Run("Session", func(t *testing.T) {
		config := mux.Config{AcceptBacklog: 1}
		p := connect.pair(t, config, mux.Config{})
		st := full(p)
		open(t, p.Dial) // fills the backlog
		calls := blocked(p, st)
		calls["Accept"] = start(func() error { _, err := p.Dial.Accept(t.Context()); return err })
		calls["Open"] = start(func() error { _, err := p.Dial.Open(t.Context()); return err })
		letBlock()
		closed := []<-chan error{start(p.Dial.Close), start(p.Dial.Close)}
		check(t, calls)
		for _, c := range closed {
			if err := await(t, "Close", c); err != nil {
				t.Error("Close:", err)
			}
		}
		if err := p.Dial.Close(); err != nil {
			t.Error("Close once more:", err)
		}
	})
	t.Run("Session with a stuck carrier", func(t *testing.T) {
		p := connect.pair(t, mux.Config{Linger: 50 * time.Millisecond}, mux.Config{})
		st := full(p)
		p.DialLink.Freeze()
		io.WriteString(open(t, p.Dial), "stuck")
		calls := blocked(p, st)
		letBlock()
		calls["Close"] = start(func() error { return errors.Join(p.Dial.Close(), net.ErrClosed) })
		check(t, calls)
	})
}

func deadPeer(t *testing.T, connect Connect) {
	// Only one end asks. Otherwise the other might notice first and close.
	idle := mux.Config{KeepAlive: -1, AcceptBacklog: 1, Linger: -1}
	lives := func(s mux.Session, duration time.Duration) bool {
		select {
		case <-s.Context().Done():
			return false
		case <-time.After(duration):
			return true
		}
	}
	// notices reports false if the machine may have been too busy for the peer to answer in time.
	notices := func(t *testing.T, s mux.Session, st mux.Stream, freeze func(), interval time.Duration) bool {
		t.Helper()
		blocked := map[string]<-chan error{
			"Read": start(func() error { _, err := st.Read(make([]byte, 1)); return err }),
			"Write": start(func() error {
				for buf := make([]byte, 64<<10); ; {
					if _, err := st.Write(buf); err != nil {
						return err
					}
				}
			}),
		}
		// An idle session lives on, for longer than a dead one would.
		if !lives(s, 4*interval) {
			return false
		}
		freeze()
		blocked["Open"] = start(func() error {
			for {
				if _, err := s.Open(t.Context()); err != nil {
					return err
				}
			}
		})
		if err := awaitEnd(t, s); !errors.Is(err, mux.ErrSessionEnded) || !errors.Is(err, mux.ErrSilent) {
			t.Errorf("cause %v, want mux.ErrSessionEnded and mux.ErrSilent", err)
		}
		for name, c := range blocked {
			if err := await(t, name, c); !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("%s: error %v, want mux.ErrSessionEnded", name, err)
			}
		}
		return true
	}
	patiently := func(t *testing.T, test func(asks mux.Config) (noticed bool, s mux.Session)) {
		t.Helper()
		var s mux.Session
		for _, interval := range []time.Duration{250 * time.Millisecond, time.Second} {
			var noticed bool
			asks := mux.Config{KeepAlive: interval, KeepAliveTimeout: interval, AcceptBacklog: 1}
			if noticed, s = test(asks); noticed {
				return
			}
		}
		t.Error("an idle session ended:", context.Cause(s.Context()))
	}
	inParallel(t, map[string]func(t *testing.T){
		"dial side": func(t *testing.T) {
			patiently(t, func(asks mux.Config) (bool, mux.Session) {
				p := connect.pair(t, asks, idle)
				st, _ := p.open(t)
				return notices(t, p.Dial, st, p.ListenLink.Freeze, asks.KeepAlive), p.Dial
			})
		},
		"listen side": func(t *testing.T) {
			patiently(t, func(asks mux.Config) (bool, mux.Session) {
				p := connect.pair(t, idle, asks)
				_, st := p.open(t)
				return notices(t, p.Listen, st, p.DialLink.Freeze, asks.KeepAlive), p.Listen
			})
		},
	})
}

// awaitRefusal opens streams to a peer that shuts down: the peer refuses them until this
// end knows that it can open none.
func awaitRefusal(t *testing.T, p Pair) {
	t.Helper()
	refused := start(func() error {
		for {
			st, err := p.Dial.Open(t.Context())
			if err != nil {
				return err
			}
			if _, err := st.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
				return fmt.Errorf("read: error %w, want mux.ErrReset", err)
			}
			st.Close()
		}
	})
	if err := await(t, "a new stream", refused); !errors.Is(err, mux.ErrGoAway) {
		t.Errorf("a new stream: error %v, want mux.ErrGoAway in the end", err)
	}
}

func shutdown(t *testing.T, connect Connect) {
	t.Run("waits", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		dialled, accepted := p.open(t)
		shutting := start(func() error { return p.Listen.Shutdown(t.Context()) })
		awaitRefusal(t, p)
		accepting := start(func() error { _, err := p.Listen.Accept(t.Context()); return err })
		// The stream in use goes on as if nothing had happened.
		io.WriteString(dialled, "request")
		dialled.CloseWrite()
		if got, err := readAll(t, accepted); string(got) != "request" || err != nil {
			t.Errorf("request: %q, %v", got, err)
		}
		io.WriteString(accepted, "answer")
		select {
		case err := <-shutting:
			t.Fatal("Shutdown did not wait for the stream in use:", err)
		default:
		}
		accepted.Close()
		if got, err := readAll(t, dialled); string(got) != "answer" || err != nil {
			t.Errorf("answer: %q, %v", got, err)
		}
		if err := await(t, "Shutdown", shutting); err != nil {
			t.Error("Shutdown:", err)
		}
		if err := await(t, "Accept", accepting); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: error %v, want net.ErrClosed", err)
		}
	})
	t.Run("refuses new streams", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		p.open(t)
		shutting := start(func() error { return p.Listen.Shutdown(t.Context()) })
		awaitRefusal(t, p)
		p.Listen.Close()
		await(t, "Shutdown", shutting)
	})
	t.Run("does not wait for what was reset", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		_, accepted := p.open(t)
		shutting := start(func() error { return p.Listen.Shutdown(t.Context()) })
		awaitRefusal(t, p)
		reset(t, accepted) // whatever the peer does with its end
		if err := await(t, "Shutdown", shutting); err != nil {
			t.Error("Shutdown:", err)
		}
	})
	t.Run("ends with its context", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		p.open(t)
		shutting := start(func() error { return p.Dial.Shutdown(canceled(t)) })
		if err := await(t, "Shutdown", shutting); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		awaitEnd(t, p.Dial)
	})
}
