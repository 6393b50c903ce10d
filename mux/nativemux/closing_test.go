package nativemux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
)

// TestCloseDuringWrite closes a session in the middle of a Write, whose user then closes
// the stream. The peer must not take that for its end.
func TestCloseDuringWrite(t *testing.T) {
	leak.Check(t)
	p := connect(t, mux.Config{}, mux.Config{})
	defer p.Listen.Close()
	writer, reader := openPair(t, p.Dial, p.Listen)
	failed := make(chan error, 1)
	go func() {
		_, err := writer.Write(make([]byte, 8<<20)) // more than all windows
		writer.Close()
		failed <- err
	}()
	if _, err := io.CopyN(io.Discard, reader, 1<<10); err != nil {
		t.Fatal("read:", err)
	}
	began := time.Now()
	closed := make(chan error, 1)
	go func() { closed <- p.Dial.Close() }()
	if n, err := io.Copy(io.Discard, reader); !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("read %d bytes of a Write that was cut, then %v", n, err)
	}
	if err := await(t, "Write", func() error { return <-failed }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	await(t, "Close", func() error { return <-closed })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close took %v: the two ends do not agree on what is to arrive", took)
	}
}

// TestUnfinishedArrives closes a session with a stream that nobody has ended.
func TestUnfinishedArrives(t *testing.T) {
	leak.Check(t)
	p := connect(t, mux.Config{}, mux.Config{})
	defer p.Listen.Close()
	writer, reader := openPair(t, p.Dial, p.Listen)
	const size = 300 << 10
	if _, err := writer.Write(make([]byte, size)); err != nil {
		t.Fatal("write:", err)
	}
	p.Dial.Close()
	if n, err := io.Copy(io.Discard, reader); n != size || !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("got %d of %d bytes, %v", n, size, err)
	}
}

// TestKeepAliveWhileClosing uses a peer that is silent for longer than keepalive allows,
// but for less than Close waits.
func TestKeepAliveWhileClosing(t *testing.T) {
	leak.Parallel(t)
	p := connect(t, mux.Config{KeepAlive: 100 * time.Millisecond, Linger: patience}, mux.Config{})
	defer p.Listen.Close()
	writer, reader := openPair(t, p.Dial, p.Listen)
	network := p.DialLink.(link).network
	network.Freeze()
	const size = 4 << 10
	writer.Write(make([]byte, size))
	writer.Close()
	closed := make(chan error, 1)
	go func() { closed <- p.Dial.Close() }()
	<-time.After(500 * time.Millisecond)
	network.Set(faultnet.Conditions{})
	if n, err := io.Copy(io.Discard, reader); n != size || err != nil {
		t.Errorf("got %d of %d bytes, %v", n, size, err)
	}
	await(t, "Close", func() error { return <-closed })
}

// TestSilentPeerClosesNothing blocks calls until the peer is found to be silent: their
// errors must not say that this end closed anything.
func TestSilentPeerClosesNothing(t *testing.T) {
	leak.Parallel(t)
	p := connect(t, mux.Config{KeepAlive: 100 * time.Millisecond}, mux.Config{KeepAlive: -1})
	defer p.Listen.Close()
	defer p.Dial.Close()
	reading, _ := openPair(t, p.Dial, p.Listen)
	writing, _ := openPair(t, p.Dial, p.Listen)
	failed := make(chan error, 2)
	go func() {
		_, err := reading.Read(make([]byte, 1))
		failed <- err
	}()
	go func() {
		for {
			if _, err := writing.Write(make([]byte, 100_000)); err != nil {
				failed <- err
				return
			}
		}
	}()
	p.DialLink.Freeze()
	for range 2 {
		err := await(t, "a call", func() error { return <-failed })
		if errors.Is(err, net.ErrClosed) || !errors.Is(err, mux.ErrSilent) {
			t.Errorf("error %v, want mux.ErrSilent and not net.ErrClosed", err)
		}
	}
}

// In TestPeerExits a client says that it closes the session, and then nothing, as if its
// program had ended before it sent the last packet.
func TestPeerExits(t *testing.T) {
	server, client, _ := connection(t)
	s, err := nativemux.New().DialSide(server, mux.Config{KeepAlive: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client.Write(append(says(0, 1), says(5, 0, 0)...)) // hello, closing
	if cause := awaitEnd(t, s); !errors.Is(cause, mux.ErrClosedByPeer) {
		t.Errorf("cause %v, want mux.ErrClosedByPeer", cause)
	}
}

// TestControlEnds lets a client end its control stream.
func TestControlEnds(t *testing.T) {
	server, client, _ := connection(t)
	s, err := nativemux.New().DialSide(server, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client.Write([]byte{0, 1})
	client.(carrier.CloseWriter).CloseWrite()
	if cause := awaitEnd(t, s); errors.Is(cause, io.EOF) || !errors.Is(cause, mux.ErrSessionEnded) {
		t.Errorf("cause %v, want mux.ErrSessionEnded and not io.EOF", cause)
	}
}

// TestDeadlineDoesNotUndoCloseWrite moves the deadline of a Write that CloseWrite wakes.
func TestDeadlineDoesNotUndoCloseWrite(t *testing.T) {
	leak.Parallel(t)
	p := connect(t, mux.Config{}, mux.Config{})
	defer p.Listen.Close()
	defer p.Dial.Close()
	for range 20 {
		writer, reader := openPair(t, p.Dial, p.Listen)
		written := make(chan struct{})
		go func() {
			defer close(written)
			writer.Write(make([]byte, 8<<20))
		}()
		go func() {
			for {
				select {
				case <-written:
					return
				default:
					writer.SetWriteDeadline(time.Time{})
				}
			}
		}()
		if _, err := io.CopyN(io.Discard, reader, 1<<10); err != nil {
			t.Fatal("read:", err)
		}
		await(t, "CloseWrite during a Write", writer.CloseWrite)
		writer.Close()
		reader.Close()
	}
}

// TestCloseTells closes a session in which no stream was opened, after the peer has said
// hello: it must learn of that.
func TestCloseTells(t *testing.T) {
	leak.Check(t)
	p := connect(t, mux.Config{}, mux.Config{})
	defer p.Listen.Close()
	p.Dial.Close()
	<-p.Listen.Context().Done()
	if err := context.Cause(p.Listen.Context()); !errors.Is(err, mux.ErrClosedByPeer) {
		t.Errorf("the session ends with %v, want mux.ErrClosedByPeer", err)
	}
}

// TestMessageBeforeHello closes a session before the peer has said hello, with a message
// for it.
func TestMessageBeforeHello(t *testing.T) {
	leak.Check(t)
	server, client, _ := connection(t)
	dial, err := nativemux.New().DialSide(server, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := dial.Send([]byte("why")); err != nil {
		t.Fatal("send:", err)
	}
	closed := make(chan error, 1)
	go func() { closed <- dial.Close() }()
	if _, err := dial.Accept(t.Context()); !errors.Is(err, net.ErrClosed) { // when Close is under way
		t.Error("accept:", err)
	}
	heard := make(chan string, 1)
	listen, err := nativemux.New().ListenSide(client, mux.Config{OnMessage: func(m []byte) { heard <- string(m) }})
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	if err := <-closed; err != nil {
		t.Error("close:", err)
	}
	<-listen.Context().Done()
	if len(heard) == 0 {
		t.Error("the message is lost:", context.Cause(listen.Context()))
	}
}
