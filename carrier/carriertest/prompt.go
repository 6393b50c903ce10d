package carriertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/backdial/backdial/carrier"
)

// writesNow fills a connection without waiting, and has what was kept leave in one of
// the ways in which it can.
func writesNow(t *testing.T, target Target) {
	for name, leave := range map[string]func(conn carrier.PromptWriter, data []byte) error{
		"Flush":      func(conn carrier.PromptWriter, _ []byte) error { return conn.Flush() },
		"Write":      func(conn carrier.PromptWriter, data []byte) error { _, err := conn.Write(data); return err },
		"WriteNow":   func(conn carrier.PromptWriter, data []byte) error { return writeNow(conn, data) },
		"CloseWrite": func(conn carrier.PromptWriter, _ []byte) error { return conn.(carrier.CloseWriter).CloseWrite() },
	} {
		ok := t.Run(name, func(t *testing.T) {
			eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
				conn, ok := end.(carrier.PromptWriter)
				if !ok {
					t.Skip("not a PromptWriter")
				}
				want := fill(t, conn)
				if name == "Write" || name == "WriteNow" {
					want = append(want, noise(8)...)
				}
				leaving := start(func() error { return leave(conn, noise(8)) })
				got := make([]byte, len(want))
				reading := start(func() error { _, err := io.ReadFull(peer, got); return err })
				if err := receive(t, "Read", reading); err != nil || !bytes.Equal(got, want) {
					t.Errorf("Read: %v, or other bytes than were written", err)
				}
				if err := receive(t, name, leaving); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				end.Close()
				if _, err := conn.WriteNow([]byte("late")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("WriteNow after Close: %v, want net.ErrClosed", err)
				}
			})
		})
		if !ok {
			return // the others take as long to fail
		}
	}
}

// fill writes to conn, whose peer does not read, until something is kept, and returns
// all that was written.
func fill(t *testing.T, conn carrier.PromptWriter) (written []byte) {
	t.Helper()
	data, r := noise(9), rand.New(rand.NewPCG(1, 2))
	const enough = 64 << 20
	for kept := false; !kept && len(written) < enough; {
		var messages [][]byte
		for range 1 + r.IntN(4) {
			m := bytes.Clone(data[:randomSize(r)])
			messages = append(messages, m)
			written = append(written, m...)
		}
		within(t, atOnce, "WriteNow", func() {
			var err error
			if kept, err = conn.WriteNow(messages...); err != nil {
				t.Errorf("WriteNow: %v", err)
			}
		})
		if t.Failed() {
			t.FailNow()
		}
		for _, m := range messages { // which are not the connection's any more
			clear(m)
		}
	}
	if len(written) >= enough {
		t.Fatalf("the connection has room for %d MiB", enough>>20)
	}
	return written
}

// writeNow is Write by WriteNow.
func writeNow(conn carrier.PromptWriter, data []byte) error {
	if kept, err := conn.WriteNow(data); !kept || err != nil {
		return fmt.Errorf("kept: %v, %w, want something to be kept", kept, err)
	}
	return conn.Flush()
}
