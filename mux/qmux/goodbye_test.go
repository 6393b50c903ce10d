package qmux

import (
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// A tally counts the calls that write.
type tally struct {
	framed
	writes atomic.Int64
}

func (c *tally) WriteMessages(messages ...[]byte) error {
	c.writes.Add(1)
	return c.framed.WriteMessages(messages...)
}

func (c *tally) WriteLast(messages ...[]byte) error {
	c.writes.Add(1)
	return c.framed.WriteLast(messages...)
}

// TestGoodbyeAtOnce closes a session that has nothing else to say: what it says last, and
// that it is the last, must leave with one write, and be answered with one.
func TestGoodbyeAtOnce(t *testing.T) {
	leak.Check(t)
	ours, theirs := testnet.Pair(t)
	closing, closed := &tally{framed: framed{ours}}, &tally{framed: framed{theirs}}
	server := begin(t, closing, dialSide, mux.Config{KeepAlive: -1, Greeting: own})
	client := begin(t, closed, listenSide, mux.Config{KeepAlive: -1, Greeting: own})
	server.Close()
	<-client.Context().Done()
	if a, b := closing.writes.Load(), closed.writes.Load(); a != 1 || b != 0 {
		t.Errorf("%d and %d writes, want 1 and 0 beside CloseWrite", a, b)
	}
	client.Close()
}
