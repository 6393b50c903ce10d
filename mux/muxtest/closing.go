package muxtest

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// closeAfterPeer closes streams that the peer has already ended. Close returns no error:
// Read and Write report the end.
func closeAfterPeer(t *testing.T, connect Connect) {
	for name, end := range map[string]func(peer mux.Stream) error{
		"peer closed":        mux.Stream.Close,
		"peer reset":         mux.Stream.Reset,
		"peer closed unread": func(peer mux.Stream) error { peer.CloseWrite(); return peer.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			eachEnd(t, connect, func(t *testing.T, _ Pair, st, peer mux.Stream) {
				io.WriteString(st, "for nobody")
				end(peer)
				awaitRejection(t, st)
				for range 2 {
					checkNil(t, "CloseWrite", st.CloseWrite)
				}
				for range 2 {
					checkNil(t, "Close", st.Close)
				}
				checkClosedWrite(t, "Close", st, net.ErrClosed)
			})
		})
	}
	t.Run("in the same instant", func(t *testing.T) {
		eachEnd(t, connect, func(t *testing.T, p Pair, _, _ mux.Stream) {
			for i := range rounds(200) {
				st, peer := p.open(t)
				end := peer.Close
				if i%2 == 0 {
					end = peer.Reset
				}
				ending := start(end)
				checkNil(t, "CloseWrite", st.CloseWrite)
				checkNil(t, "the peer's end", func() error { return await(t, "the peer's end", ending) })
				checkNil(t, "Close", st.Close)
			}
		})
	})
	t.Run("CloseWrite after the end of the session", func(t *testing.T) {
		eachEnd(t, connect, func(t *testing.T, p Pair, st, _ mux.Stream) {
			p.DialLink.Cut()
			awaitEnd(t, p.Dial)
			awaitEnd(t, p.Listen)
			checkClosedWrite(t, "a cut", st, mux.ErrSessionEnded)
			checkNil(t, "Close", st.Close)
			checkClosedWrite(t, "Close", st, net.ErrClosed)
		})
	})
	t.Run("CloseWrite after Close of the session", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		st, peer := p.open(t)
		p.Dial.Close()
		awaitEnd(t, p.Listen)
		checkClosedWrite(t, "Close of the session", st, net.ErrClosed)
		checkClosedWrite(t, "the peer's Close of the session", peer, mux.ErrSessionEnded)
	})
}

// eachEnd runs test with a stream of the dial side, and with one of the listen side.
func eachEnd(t *testing.T, connect Connect, test func(t *testing.T, p Pair, st, peer mux.Stream)) {
	for _, end := range []string{"dial side", "listen side"} {
		t.Run(end, func(t *testing.T) {
			p := connect.pair(t, mux.Config{}, mux.Config{})
			st, peer := p.open(t)
			if end == "listen side" {
				st, peer = peer, st
			}
			test(t, p, st, peer)
		})
	}
}

// awaitRejection writes until Write fails because of the peer.
func awaitRejection(t *testing.T, st mux.Stream) {
	t.Helper()
	if err := await(t, "Write", writing(st)); !errors.Is(err, mux.ErrReset) {
		t.Errorf("write after the peer has gone: error %v, want mux.ErrReset", err)
	}
}

func checkNil(t *testing.T, what string, call func() error) {
	t.Helper()
	if err := await(t, what, start(call)); err != nil {
		t.Errorf("%s: error %v, want none", what, err)
	}
}

func checkClosedWrite(t *testing.T, after string, st mux.Stream, want error) {
	t.Helper()
	if err := await(t, "CloseWrite", start(st.CloseWrite)); !errors.Is(err, want) {
		t.Errorf("CloseWrite after %s: error %v, want %v", after, err, want)
	}
}

// closeIsPrompt measures how long Close takes. On a busy machine it may take long once,
// but not every time.
func closeIsPrompt(t *testing.T, connect Connect) {
	t.Run("Stream", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		wantPrompt(t, 250*time.Millisecond, func() time.Duration {
			st, peer := p.open(t)
			io.WriteString(st, "request")
			defer peer.Close()
			return timed(t, "Close", st.Close)
		})
	})
	t.Run("Session", func(t *testing.T) {
		wantPrompt(t, time.Second, func() time.Duration {
			p := connect.pair(t, mux.Config{}, mux.Config{})
			p.open(t)
			return timed(t, "Close", p.Dial.Close)
		})
	})
	t.Run("Session with a stuck carrier", func(t *testing.T) {
		const linger = 50 * time.Millisecond
		wantPrompt(t, linger+time.Second, func() time.Duration {
			p := connect.pair(t, mux.Config{Linger: linger}, mux.Config{Linger: linger})
			st, _ := p.open(t)
			p.DialLink.Freeze()
			io.WriteString(st, "stuck")
			return timed(t, "Close", p.Dial.Close)
		})
	})
}

func timed(t *testing.T, what string, call func() error) time.Duration {
	t.Helper()
	begun := time.Now()
	await(t, what, start(call))
	return time.Since(begun)
}

// wantPrompt expects measure to return less than most at least once.
func wantPrompt(t *testing.T, most time.Duration, measure func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for range 3 {
		took = append(took, measure())
		if took[len(took)-1] < most {
			return
		}
	}
	t.Errorf("takes %v, want less than %v", took, most)
}
