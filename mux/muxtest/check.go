package muxtest

import (
	"errors"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// check ends streams that hold an unread window.
func check(t *testing.T, connect Connect) {
	wantPower[mux.Checker](t, connect)
	for name, test := range map[string]struct {
		end  func(p Pair, peer mux.Stream)
		want error // nil: an orderly end
	}{
		"after Reset":      {func(_ Pair, peer mux.Stream) { peer.Reset() }, mux.ErrReset},
		"after a cut":      {func(p Pair, _ mux.Stream) { p.DialLink.Cut() }, mux.ErrSessionEnded},
		"after Close":      {func(_ Pair, peer mux.Stream) { peer.Close() }, nil},
		"after CloseWrite": {func(_ Pair, peer mux.Stream) { peer.CloseWrite() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect.pair(t, mux.Config{}, mux.Config{})
			peer, st := p.open(t)
			c := st.(mux.Checker)
			if _, err := peer.Write([]byte("something")); err != nil { // if a busy machine has no time for more
				t.Error("write:", err)
			}
			peer.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			await(t, "Write", writing(peer)) // the peer's window is full now
			if err := c.Check(); err != nil {
				t.Error("Check before the end:", err)
			}
			test.end(p, peer)
			if test.want == nil {
				if n, err := readOut(t, st); n == 0 || err != nil {
					t.Errorf("read: %d bytes, %v", n, err)
				}
				await(t, "the peer's Write", writing(peer))
				if err := c.Check(); err != nil {
					t.Error("Check at the end:", err)
				}
				return
			}
			for deadline := time.Now().Add(soon); c.Check() == nil && time.Now().Before(deadline); {
				letBlock()
			}
			if err := c.Check(); !errors.Is(err, test.want) {
				t.Errorf("Check: error %v, want %v", err, test.want)
			}
			if _, err := readOut(t, st); !errors.Is(err, test.want) {
				t.Errorf("read: error %v, want %v", err, test.want)
			}
			st.Close()
			if err := c.Check(); err == nil {
				t.Error("Check after Close: no error")
			}
		})
	}
}
