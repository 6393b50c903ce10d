package ws_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/long"
)

// TestPing pings an end that has nothing to send.
func TestPing(t *testing.T) {
	eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
		read := make(chan error, 1)
		go func() { _, err := own.NextMessage(1); read <- err }()
		for _, payload := range []string{"", "ping", xs(125), "p"} {
			p.send(atOnce, p.frame(fin|ping, payload))
			p.want(pong, payload)
		}
		own.Close()
		await.From(t, "Read", read)
	})
}

// TestWrongMask sends frames that are masked like the other end's.
func TestWrongMask(t *testing.T) {
	eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
		want := map[bool]string{
			true:  "protocol violation: a client's frame is not masked",
			false: "protocol violation: a server's frame is masked",
		}[p.masks]
		wrong := &peer{masks: !p.masks}
		p.send(atOnce, wrong.frame(fin|binary2, "x"))
		if _, err := own.Read(make([]byte, 1)); err == nil || err.Error() != "ws: read: "+want {
			t.Errorf("Read: %v, want %s", err, want)
		}
		p.want(closing, status(broken, want))
	})
}

// TestPongUnderLoad pings an end that writes without a pause.
func TestPongUnderLoad(t *testing.T) {
	eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
		message := string(noise(1, 10_000))
		read, written := make(chan error, 1), make(chan error, 1)
		go func() { _, err := own.NextMessage(1); read <- err }()
		go func() {
			for {
				if _, err := own.Write([]byte(message)); err != nil {
					written <- err
					return
				}
			}
		}()
		for i := range long.Times(50) {
			payload := fmt.Sprint("ping ", i)
			p.send(atOnce, p.frame(fin|ping, payload))
			began := time.Now()
			for messages := 0; ; messages++ {
				op, got, err := p.next()
				if op == pong {
					if string(got) != payload {
						t.Fatalf("ping %q is answered with %q", payload, got)
					}
					break
				}
				if op != binary2 || string(got) != message || err != nil {
					t.Fatalf("a frame of opcode %d with %d bytes, %v", op, len(got), err)
				}
				// What is on its way is some MiB at most. On one processor more of it passes
				// before the end that was pinged has its turn.
				if messages > 5000 && time.Since(began) > time.Second {
					t.Fatalf("%d messages, and no answer to a ping", messages)
				}
			}
		}
		own.Close()
		await.From(t, "Read", read)
		if err := await.From(t, "Write", written); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
	})
}

// TestBlockedWriter uses a writer whose peer does not read, but sends pings and messages.
// They must be read, and the latest ping answered when there is room again.
func TestBlockedWriter(t *testing.T) {
	eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
		const size = 64 << 20 // more than any kernel buffers
		message := make([]byte, size)
		written := make(chan error, 1)
		go func() { _, err := own.Write(message); written <- err }()
		if _, err := p.r.Peek(1); err != nil { // it is under way
			t.Fatal(err)
		}
		before := runtime.NumGoroutine()
		const n = 1000
		go func() {
			for i := range n {
				p.send(atOnce, p.frame(fin|ping, fmt.Sprint("ping ", i)), p.frame(fin|binary2, "x"))
			}
		}()
		read := make(chan error, 1)
		go func() { _, err := io.ReadFull(own, make([]byte, n)); read <- err }()
		if err := await.From(t, "reading beside a blocked Write", read); err != nil {
			t.Fatal(err)
		}
		if after := runtime.NumGoroutine(); after > before+3 {
			t.Errorf("%d pings made %d goroutines of %d", n, after, before)
		}
		p.want(binary2, string(message))
		p.want(pong, fmt.Sprint("ping ", n-1))
		if err := await.From(t, "Write", written); err != nil {
			t.Error(err)
		}
	})
}

// TestPingFlood uses a peer that sends pings and reads nothing. Reading must go on, and
// Close must end the goroutine that would answer.
func TestPingFlood(t *testing.T) {
	eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
		const batch, batches = 1000, 300 // 38 MB of pongs
		before := runtime.NumGoroutine()
		flood := make(chan struct{})
		go func() {
			defer close(flood)
			pings := strings.Repeat(string(p.frame(fin|ping, xs(125))), batch)
			for range batches {
				p.send(atOnce, []byte(pings), p.frame(fin|binary2, "x"))
			}
		}()
		most := 0
		read := make(chan error, 1)
		go func() {
			var err error
			for range batches {
				if _, err = io.ReadFull(own, make([]byte, 1)); err != nil {
					break
				}
				most = max(most, runtime.NumGoroutine())
			}
			read <- err
		}()
		if err := await.From(t, "reading a flood", read); err != nil {
			t.Fatal(err)
		}
		if most > before+4 {
			t.Errorf("a flood of pings makes %d goroutines of %d", most, before)
		}
		await.From(t, "the flood", flood)
	})
}

// TestCloseWriteWithoutRoom uses a peer that reads nothing: CloseWrite must give up.
func TestCloseWriteWithoutRoom(t *testing.T) {
	eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
		written := make(chan error, 1)
		go func() { _, err := own.Write(make([]byte, 64<<20)); written <- err }()
		if _, err := p.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		closed, began := make(chan error, 1), time.Now()
		go func() { closed <- own.(carrier.CloseWriter).CloseWrite() }()
		if err := await.From(t, "CloseWrite", closed); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("CloseWrite returned %v", err)
		}
		if took := time.Since(began); took < time.Second || took > 5*time.Second {
			t.Errorf("CloseWrite took %v, want a second", took)
		}
		own.Close()
		if err := await.From(t, "Write", written); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
		if err := own.(carrier.CloseWriter).CloseWrite(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("CloseWrite after Close: %v", err)
		}
	})
}

// TestNothingAfterClose uses an end that has sent a close frame: it must read what it
// gets, and not answer.
func TestNothingAfterClose(t *testing.T) {
	eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
		if err := own.(carrier.CloseWriter).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		p.send(atOnce, p.frame(fin|ping, "late"), p.frame(fin|binary2, "more"), p.frame(fin|text, "wrong"))
		got := make([]byte, 4)
		if _, err := io.ReadFull(own, got); err != nil || string(got) != "more" {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := own.Read(got); err == nil || err.Error() != "ws: read: peer sent a text message" {
			t.Errorf("Read: %v", err)
		}
		if err := own.WriteMessages([]byte("late")); err == nil {
			t.Error("WriteMessages succeeds after CloseWrite")
		}
		own.Close()
		p.want(closing, status(normal, ""))
		if op, payload, err := p.next(); err == nil {
			t.Errorf("after the close frame: a frame of opcode %d, %q", op, payload)
		}
	})
}

// TestTooLarge sends messages that are larger than the limit, in one frame and in
// several. The caller may still write, and the close frame must have the right status.
func TestTooLarge(t *testing.T) {
	const limit = 100
	for name, frames := range map[string]func(p *peer) [][]byte{
		"Frame":     func(p *peer) [][]byte { return [][]byte{p.frame(fin|binary2, xs(limit+1))} },
		"Huge":      func(p *peer) [][]byte { return [][]byte{p.frameOf(fin|binary2, 1<<62, "x")} },
		"HugePiece": func(p *peer) [][]byte { return [][]byte{p.frame(binary2, ""), p.frameOf(fin|continuation, 1<<62, "x")} },
		"Sum": func(p *peer) [][]byte {
			return [][]byte{p.frame(binary2, xs(60)), p.frameOf(fin|continuation, 60, "x")}
		},
		"Pieces": func(p *peer) [][]byte { return p.fragments(binary2, xs(limit+1), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			eachEnd(t, func(t *testing.T, own carrier.MessageConn, p *peer) {
				p.send(atOnce, p.fragments(binary2, xs(limit), 30)...)
				p.send(atOnce, p.frame(fin|binary2, xs(limit)))
				p.send(atOnce, frames(p)...)
				for range 2 {
					if size, err := own.NextMessage(limit); size != limit || err != nil {
						t.Fatalf("a message of %d bytes, %v, want the limit", size, err)
					}
				}
				for range 2 {
					if size, err := own.NextMessage(limit); size != 0 || !errors.Is(err, carrier.ErrMessageSize) {
						t.Errorf("a message of %d bytes, %v, want carrier.ErrMessageSize", size, err)
					}
				}
				if _, err := own.Write([]byte("this is too much")); err != nil {
					t.Error(err)
				}
				if err := own.(carrier.CloseWriter).CloseWrite(); err != nil {
					t.Error(err)
				}
				p.want(binary2, "this is too much")
				p.want(closing, status(1009, ""))
			})
		})
	}
}
