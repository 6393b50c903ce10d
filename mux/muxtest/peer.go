package muxtest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// roundTripKnown has both ends measure.
func roundTripKnown(t *testing.T, connect Connect) {
	config := mux.Config{KeepAlive: 100 * time.Millisecond}
	began := time.Now()
	p := connect.pair(t, config, config)
	p.open(t)
	for _, s := range []mux.Session{p.Dial, p.Listen} {
		for s.RoundTrip() == 0 {
			if time.Since(began) > soon {
				t.Fatalf("nothing is known of the round trip after %v", soon)
			}
			settle()
		}
		if got := s.RoundTrip(); got < 0 || got > time.Since(began) {
			t.Errorf("round trip %v, although all took %v", got, time.Since(began))
		}
	}
}

// ping has either end ask a peer that lives, one that does not, and none.
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
	settle()
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

// streamsInUse has both ends count what their users have not closed.
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
