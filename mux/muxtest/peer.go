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

// roundTripKnown checks that both ends measure. On a busy machine a peer may not answer in time.
func roundTripKnown(t *testing.T, connect Connect) {
	var err error
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second} {
		if err = measures(t, connect, mux.Config{KeepAlive: interval}); !errors.Is(err, mux.ErrSilent) {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// measures waits until both ends of a session know the round trip.
func measures(t *testing.T, connect Connect, config mux.Config) error {
	began := time.Now()
	p := connect.pair(t, config, config)
	// One end may have closed the session, because of the other's silence.
	ended := func() error {
		return errors.Join(context.Cause(p.Dial.Context()), context.Cause(p.Listen.Context()))
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, err := p.Dial.Open(ctx)
	if err == nil {
		_, err = p.Listen.Accept(ctx)
	}
	if err != nil {
		return fmt.Errorf("open a stream: %w", errors.Join(err, ended()))
	}
	for _, s := range []mux.Session{p.Dial, p.Listen} {
		for s.RoundTrip() == 0 {
			if s.Context().Err() != nil {
				return fmt.Errorf("an idle session ended: %w", ended())
			}
			if time.Since(began) > soon {
				return fmt.Errorf("nothing is known of the round trip after %v", soon)
			}
			letBlock()
		}
		if got := s.RoundTrip(); got < 0 || got > time.Since(began) {
			return fmt.Errorf("round trip %v, although all took %v", got, time.Since(began))
		}
	}
	return nil
}

// ping makes either end ask a peer that is alive, one that is not, and one that is
// closed.
func ping(t *testing.T, connect Connect) {
	config := mux.Config{KeepAlive: -1, Linger: -1}
	p := connect.pair(t, config, config)
	for _, s := range []mux.Session{p.Dial, p.Listen} {
		for range 3 { // one after the other, and at the same time
			first := start(func() error { return s.Ping(t.Context()) })
			second := start(func() error { return s.Ping(t.Context()) })
			for _, answered := range []<-chan error{first, second} {
				if err := await(t, "Ping", answered); err != nil {
					t.Error("ping:", err)
				}
			}
		}
	}
	p.DialLink.Freeze()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := await(t, "Ping", start(func() error { return p.Dial.Ping(ctx) })); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ping of a peer that is not there: error %v, want context.DeadlineExceeded", err)
		}
	}
	waiting := start(func() error { return p.Dial.Ping(t.Context()) })
	letBlock()
	p.Dial.Close()
	if err := await(t, "Ping", waiting); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ping while the session is closed: error %v, want net.ErrClosed", err)
	}

	gone := connect.pair(t, config, config)
	gone.Listen.Close()
	awaitEnd(t, gone.Dial)
	if err := await(t, "Ping", start(func() error { return gone.Dial.Ping(t.Context()) })); !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("ping after Close by the peer: error %v, want mux.ErrSessionEnded", err)
	}
}

// deafPeer makes a peer stop reading and go on sending: the callback that gets its messages
// does not return.
func deafPeer(t *testing.T, connect Connect) {
	const interval = 250 * time.Millisecond
	asks := mux.Config{KeepAlive: interval}
	deaf := func(t *testing.T) mux.Config {
		return mux.Config{KeepAlive: -1, Linger: -1, OnMessage: func([]byte) { <-t.Context().Done() }}
	}
	notices := func(t *testing.T, s mux.Session, receives, sends mux.Stream) {
		t.Helper()
		go func() {
			for err := error(nil); err == nil; <-time.After(interval / 5) {
				_, err = sends.Write([]byte("x"))
			}
		}()
		received := start(func() error { _, err := io.Copy(io.Discard, receives); return err })
		if err := await(t, "Ping", start(func() error { return s.Ping(t.Context()) })); err != nil {
			t.Fatal("ping of a peer that reads:", err)
		}
		if err := s.Send([]byte("after which the peer reads no more")); err != nil {
			t.Fatal("send:", err)
		}
		if err := awaitEnd(t, s); !errors.Is(err, mux.ErrSessionEnded) || !errors.Is(err, mux.ErrSilent) {
			t.Errorf("cause %v, want mux.ErrSessionEnded and mux.ErrSilent", err)
		}
		if err := await(t, "Read", received); !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("read: error %v, want mux.ErrSessionEnded", err)
		}
	}
	inParallel(t, map[string]func(t *testing.T){
		"dial side": func(t *testing.T) {
			p := connect.pair(t, asks, deaf(t))
			receives, sends := p.open(t)
			notices(t, p.Dial, receives, sends)
		},
		"listen side": func(t *testing.T) {
			p := connect.pair(t, deaf(t), asks)
			sends, receives := p.open(t)
			notices(t, p.Listen, receives, sends)
		},
	})
}

// streamsInUse checks that both ends count the streams that their users have not closed.
func streamsInUse(t *testing.T, connect Connect) {
	p := connect.pair(t, mux.Config{}, mux.Config{})
	check := func(when string, dial, listen int) {
		t.Helper()
		if d, l := p.Dial.Streams(), p.Listen.Streams(); d != dial || l != listen {
			t.Errorf("%s: %d and %d streams, want %d and %d", when, d, l, dial, listen)
		}
	}
	check("at first", 0, 0)
	first, accepted := p.open(t)
	second, _ := p.open(t)
	check("opened", 2, 2)
	first.CloseWrite()
	check("CloseWrite", 2, 2)
	first.Close()
	first.Close()
	check("Close on one end", 1, 2)
	accepted.Close()
	check("Close on the other end", 1, 1)
	second.Close()
	check("all closed", 0, 1)
}
