// Package engine_test tests what the contract's own suite, muxtest, cannot
// bring about: carriers of particular kinds, and particular moments.
package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// patience bounds what must happen, on a loaded machine.
const patience = 20 * time.Second

// each runs test with every protocol.
func each(t *testing.T, test func(t *testing.T, m mux.Muxer)) {
	t.Helper()
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New()} {
		t.Run(m.Name(), func(t *testing.T) {
			leak.Check(t)
			test(t, m)
		})
	}
}

// sessions returns a session over the two ends of a connection.
func sessions(t *testing.T, m mux.Muxer, a, b net.Conn, dial, listen mux.Config) (d, l mux.Session) {
	t.Helper()
	d, err := m.DialSide(a, dial)
	if err != nil {
		t.Fatal(err)
	}
	if l, err = m.ListenSide(b, listen); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		l.Close()
	})
	return d, l
}

func stream(t *testing.T, d, l mux.Session) (dialled, accepted mux.Stream) {
	t.Helper()
	dialled, err := d.Open(t.Context())
	if err != nil {
		t.Fatal("open:", err)
	}
	if accepted, err = l.Accept(t.Context()); err != nil {
		t.Fatal("accept:", err)
	}
	return dialled, accepted
}

// await returns the result of f, which must come in time.
func await(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("%s is not done after %v", what, patience)
		return nil
	}
}

// TestChatter closes streams on which the peer writes byte by byte, so that thousands of
// frames are on their way to a stream that is gone. That is no violation.
func TestChatter(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		a, b := testnet.Pair(t)
		d, l := sessions(t, m, a, b, mux.Config{}, mux.Config{})
		for range 20 {
			writer, reader := stream(t, d, l)
			var wg sync.WaitGroup
			wg.Go(func() {
				for err := error(nil); err == nil; {
					_, err = writer.Write([]byte("x"))
				}
			})
			io.CopyN(io.Discard, reader, 1000)
			reader.Close()
			wg.Wait()
			writer.Close()
		}
		if err := context.Cause(d.Context()); err != nil {
			t.Error("the session ended:", err)
		}
	})
}

// TestDialAndClose opens and closes streams as fast as it can, with a peer that refuses
// most of them. That is no violation either.
func TestDialAndClose(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		a, b := testnet.Pair(t)
		d, l := sessions(t, m, a, b, mux.Config{}, mux.Config{AcceptBacklog: 1})
		for range long.Times(100_000) {
			st, err := d.Open(t.Context())
			if err != nil {
				t.Fatal("open:", err)
			}
			st.Close()
		}
		if err := context.Cause(l.Context()); err != nil {
			t.Error("the session ended:", err)
		}
	})
}

// TestWriteErrorKeepsInput uses a peer that writes, closes, and is gone, while this end
// writes. This end's write fails, but it must still read what has arrived.
func TestWriteErrorKeepsInput(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		sent := bytes.Repeat([]byte("x"), 200<<10)
		for range 50 {
			b, a := testnet.MemPair(t)
			// Without CloseWrite, the end of the connection comes at once.
			d, l := sessions(t, m, struct{ net.Conn }{a}, struct{ net.Conn }{b}, mux.Config{}, mux.Config{})
			writer, reader := stream(t, d, l)
			go func() { // from the end that reads below
				for err := error(nil); err == nil; {
					_, err = reader.Write(sent)
				}
			}()
			go func() {
				writer.Write(sent)
				writer.Close()
				d.Close()
			}()
			got, err := io.ReadAll(reader)
			if err != nil || len(got) != len(sent) {
				t.Fatalf("read %d of %d bytes, %v", len(got), len(sent), err)
			}
			l.Close()
		}
	})
}

// A stuckConn takes no writes, and ends its input when told to. Its CloseWrite waits for
// its Close.
type stuckConn struct {
	net.Conn // nil: not used

	eof, closed chan struct{}
	once        sync.Once

	mu         sync.Mutex // guards below
	writing    bool
	overlapped bool // CloseWrite was called during a Write
}

func newStuckConn() *stuckConn {
	return &stuckConn{eof: make(chan struct{}), closed: make(chan struct{})}
}

func (c *stuckConn) Read([]byte) (int, error) {
	select {
	case <-c.eof:
		return 0, io.EOF
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *stuckConn) Write([]byte) (int, error) {
	c.mu.Lock()
	c.writing = true
	c.mu.Unlock()
	<-c.closed
	return 0, net.ErrClosed
}

func (c *stuckConn) CloseWrite() error {
	c.mu.Lock()
	c.overlapped = c.writing
	c.mu.Unlock()
	<-c.closed
	return net.ErrClosed
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// TestEOFDuringWrite ends the input of a session whose output is stuck.
func TestEOFDuringWrite(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		c := newStuckConn()
		s, err := m.DialSide(c, mux.Config{KeepAlive: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Open(t.Context()); err != nil { // which writes
			t.Fatal(err)
		}
		for writing := false; !writing; runtime.Gosched() {
			c.mu.Lock()
			writing = c.writing
			c.mu.Unlock()
		}
		close(c.eof)
		await(t, "the end of the session", func() error { <-s.Context().Done(); return nil })
		if c.overlapped {
			t.Error("CloseWrite was called during a Write")
		}
	})
}

// TestLingerBoundsClose uses a connection whose CloseWrite waits.
func TestLingerBoundsClose(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		a, b := testnet.Pair(t)
		go io.Copy(io.Discard, b)
		s, err := m.DialSide(slowCloseWrite{a, newStuckConn()}, mux.Config{Linger: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		await(t, "Close", s.Close)
		if err := context.Cause(s.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("cause %v, want net.ErrClosed", err)
		}
		b.Close()
	})
}

// A slowCloseWrite is a connection with another's CloseWrite.
type slowCloseWrite struct {
	net.Conn
	stuck *stuckConn
}

func (c slowCloseWrite) CloseWrite() error { return c.stuck.CloseWrite() }

func (c slowCloseWrite) Close() error {
	c.stuck.Close()
	return c.Conn.Close()
}

// TestReceiveBufferIsMemory fills streams with data that uses far more memory than its
// size.
func TestReceiveBufferIsMemory(t *testing.T) {
	long.Only(t)
	each(t, func(t *testing.T, m mux.Muxer) {
		const limit, streams = 1 << 20, 4000
		a, b := testnet.Pair(t)
		d, l := sessions(t, m, a, b, mux.Config{}, mux.Config{ReceiveBuffer: limit})
		before := heap()
		var accepted []mux.Stream
		for range streams {
			writer, reader := stream(t, d, l)
			accepted = append(accepted, reader)
			writer.Write([]byte("x"))
		}
		last, echo := stream(t, d, l) // behind all that was written
		last.Write([]byte("x"))
		io.ReadFull(echo, make([]byte, 1))
		const stream = 1200 // bytes for one with both of its ends, without what it has received
		if used := heap() - before; used > limit+streams*stream {
			t.Errorf("%d streams with a byte each hold %d KiB, at a limit of %d", streams, used>>10, limit>>10)
		}
		runtime.KeepAlive(accepted)
	})
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestAcceptWaitsForPeer uses a peer that opens streams and reads nothing, and a user
// that accepts and closes each. The frames for the peer must not pile up.
func TestAcceptWaitsForPeer(t *testing.T) {
	leak.Check(t)
	ours, theirs := net.Pipe() // which takes nothing that is not read
	s, err := yamuxmux.New().ListenSide(ours, mux.Config{KeepAlive: -1, Linger: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	accepted := make(chan struct{}, 1<<20)
	go func() {
		for {
			st, err := s.Accept(t.Context())
			if err != nil {
				return
			}
			st.Close()
			accepted <- struct{}{}
		}
	}()
	const synFin = 1 | 4
	for id := uint32(1); id < 20_000; id += 2 {
		frame := binary.BigEndian.AppendUint32([]byte{0, 1, 0, synFin}, id)
		theirs.Write(append(frame, 0, 0, 0, 0))
		select {
		case <-accepted:
		case <-time.After(time.Second):
			return // as it should be
		}
	}
	t.Error("10,000 streams were accepted from a peer that reads nothing")
}

// TestNothingAfterDeadline lets a Write wait for credit until its deadline. When credit
// comes, the session must not send any of its buffer, which belongs to the caller again.
func TestNothingAfterDeadline(t *testing.T) {
	each(t, func(t *testing.T, m mux.Muxer) {
		a, b := testnet.MemPair(t)
		d, l := sessions(t, m, a, b, mux.Config{}, mux.Config{})
		from, to := stream(t, d, l)
		first := bytes.Repeat([]byte{1}, 1<<20)
		from.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := from.Write(first)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("write: %v, want os.ErrDeadlineExceeded", err)
		}
		clear(first)
		from.SetWriteDeadline(time.Time{})
		got := make([]byte, n)
		if err := await(t, "Read", func() error { _, err := io.ReadFull(to, got); return err }); err != nil {
			t.Fatal("read:", err)
		}
		if err := l.Ping(t.Context()); err != nil { // the credit for them has arrived
			t.Fatal("ping:", err)
		}
		if err := from.CloseWrite(); err != nil {
			t.Fatal("close write:", err)
		}
		var rest []byte
		if err := await(t, "Read", func() (err error) { rest, err = io.ReadAll(to); return err }); err != nil {
			t.Fatal("read:", err)
		}
		if len(rest) > 0 || bytes.Count(got, []byte{1}) != n {
			t.Errorf("%d bytes more than the %d that were written, or others", len(rest), n)
		}
	})
}
