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

// writesNow fills a connection without waiting, and then sends what was kept in each of
// the possible ways.
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

// fill writes to conn, whose peer does not read, until something is kept. It returns
// everything that was written.
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
		wrote := start(func() (err error) { kept, err = conn.WriteNow(messages...); return err })
		if err := receiveWithin(t, atOnce, "WriteNow", wrote); err != nil {
			t.Fatalf("WriteNow: %v", err)
		}
		for _, m := range messages { // they no longer belong to the connection
			clear(m)
		}
	}
	if len(written) >= enough {
		t.Fatalf("the connection has room for %d MiB", enough>>20)
	}
	return written
}

// writeNow writes data with WriteNow, and expects some of it to be kept.
func writeNow(conn carrier.PromptWriter, data []byte) error {
	if kept, err := conn.WriteNow(data); !kept || err != nil {
		return fmt.Errorf("kept: %v, %w, want something to be kept", kept, err)
	}
	return conn.Flush()
}

// readsNow reads both ways, alternating at random: ReadNow must not wait, and the bytes
// must be those that were written.
func readsNow(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		conn := promptReader(t, end)
		if n := readNow(t, conn, make([]byte, 10)); n > 0 {
			t.Errorf("ReadNow before anything has come: %d bytes", n)
		}
		want := noise(8)
		writing := start(func() error { return writeAll(peer, want, rand.New(rand.NewPCG(1, 2))) })
		r := rand.New(rand.NewPCG(3, 4))
		got := make([]byte, 0, len(want))
		for len(got) < len(want) && !t.Failed() {
			p := got[len(got):min(len(got)+randomSize(r), cap(got))]
			reading := start(func() error {
				n, err := conn.Read(p)
				got = got[:len(got)+n]
				return err
			})
			if err := receive(t, "Read", reading); err != nil {
				t.Fatalf("Read after %d bytes: %v", len(got), err)
			}
			p = got[len(got):min(len(got)+randomSize(r), cap(got))]
			got = got[:len(got)+readNow(t, conn, p)]
		}
		if !bytes.Equal(got, want) {
			t.Error("other bytes than were written")
		}
		if err := receive(t, "Write", writing); err != nil {
			t.Error("Write:", err)
		}
		end.Close()
		if n := readNow(t, conn, make([]byte, 10)); n > 0 {
			t.Errorf("ReadNow after Close: %d bytes", n)
		}
	})
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		conn, messages := promptReader(t, end), messageConn(t, end)
		const size = 5000
		data := noise(9)[:2*size]
		writing := start(func() error { return messageConn(t, peer).WriteMessages(data[:size], data[size:]) })
		if err := receive(t, "WriteMessages", writing); err != nil {
			t.Fatal("WriteMessages:", err)
		}
		for at := 0; at < len(data); at += size {
			reading := start(func() error {
				if n, err := messages.NextMessage(size); n != size || err != nil {
					return fmt.Errorf("a message of %d bytes, %w, want %d", n, err, size)
				}
				got := make([]byte, len(data))
				n, err := conn.Read(got[:1])
				if err != nil {
					return err
				}
				n += conn.ReadNow(got[n:]) // by now both messages should be there
				rest, err := io.ReadAll(conn)
				if !bytes.Equal(append(got[:n], rest...), data[at:at+size]) {
					return fmt.Errorf("%d bytes at once and %d later are not the message, %w", n, len(rest), err)
				}
				return err
			})
			if err := receive(t, "NextMessage", reading); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// readNow calls ReadNow, which must return at once.
func readNow(t *testing.T, conn carrier.PromptReader, p []byte) (n int) {
	t.Helper()
	doneWithin(t, atOnce, "ReadNow", func() { n = conn.ReadNow(p) })
	return n
}

// promptReader returns conn as a PromptReader, or skips t.
func promptReader(t *testing.T, conn carrier.Conn) carrier.PromptReader {
	t.Helper()
	prompt, ok := conn.(carrier.PromptReader)
	if !ok {
		t.Skip("not a PromptReader")
	}
	return prompt
}
