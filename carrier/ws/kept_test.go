//go:build linux || darwin

package ws_test

import (
	"net"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/await"
)

// TestPingBesideKept makes a peer send a ping when there is no room for more: half a
// frame has left. The rest must leave before the answer, and what is written meanwhile
// must be kept, as a copy.
func TestPingBesideKept(t *testing.T) {
	eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
		conn := own.(carrier.PromptWriter)
		p.conn.(*net.TCPConn).SetReadBuffer(256 << 10) // which does not grow
		const size = 10_000
		var want []string
		write := func() (kept bool) {
			message := noise(byte(len(want)), size)
			want = append(want, string(message))
			kept, err := conn.WriteNow(message)
			if err != nil {
				t.Fatal("WriteNow: ", err)
			}
			clear(message) // it is the caller's again
			return kept
		}
		for !write() {
		}
		p.send(atOnce, p.frame(fin|ping, "ping"), p.frame(fin|binary2, "x"))
		if _, err := own.NextMessage(1); err != nil { // the ping came before
			t.Fatal("NextMessage: ", err)
		}
		for range 3 {
			write()
		}
		flushed := make(chan error, 1)
		go func() { flushed <- conn.Flush() }()
		answered := false
		for i := 0; i < len(want) || !answered; {
			op, got, err := p.next()
			switch {
			case err != nil:
				t.Fatalf("after %d messages, answered %t: %v", i, answered, err)
			case op == pong && string(got) == "ping":
				answered = true
			case op == binary2 && i < len(want) && string(got) == want[i]:
				i++
			default:
				t.Fatalf("a frame of opcode %d with %d bytes, where message %d of %d comes next", op, len(got), i, len(want))
			}
		}
		if err := await.From(t, "Flush", flushed); err != nil {
			t.Error("Flush: ", err)
		}
		if write() {
			t.Error("a message is kept although there is room")
		}
	})
}
