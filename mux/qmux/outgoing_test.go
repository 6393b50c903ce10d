package qmux

import (
	"context"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

// TestUnended uses a peer that allows any number of streams and ends none: the session
// must remember a bounded number of those that were closed here, and one that the peer
// ends must make room for another.
func TestUnended(t *testing.T) {
	leak.Check(t)
	p := greetings()
	p.initialMaxStreamsBidi = maxStreamCount
	s, peer := meet(t, dialSide, mux.Config{}, p)
	heard := make(chan uint64, 1)
	listening := start(func() error {
		for {
			f, _, err := peer.next()
			if err != nil {
				return nil
			}
			if f.typ == frameStream {
				select {
				case heard <- f.id:
				default:
				}
			}
		}
	})
	for range maxUnended {
		open(t, s).Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Open(ctx); err == nil {
		t.Errorf("after %d streams that the peer has not ended there is another", maxUnended)
	}
	opening := start(func() error { _, err := s.Open(t.Context()); return err })
	peer.say(fin(<-heard, 0, nil))
	if err := await(t, "Open", opening); err != nil {
		t.Error("open:", err)
	}
	s.Mu.Lock()
	if n := s.outgoing.unended; n != maxUnended-1 {
		t.Errorf("%d streams are not ended, want %d", n, maxUnended-1)
	}
	s.Mu.Unlock()
	peer.conn.Close()
	await(t, "what the session says", listening)
}
