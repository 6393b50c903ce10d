package nativemux_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
)

// A slowConn is slow to open streams, and to accept them.
type slowConn struct {
	carrier.StreamConn
	begun  chan struct{}      // OpenStream was called
	opened chan chan struct{} // what it waits for once it has a stream
	full   chan struct{}      // it has no stream until its context ends
	late   chan struct{}      // AcceptStream waits for it to be closed
}

func newSlowConn(conn carrier.Conn) *slowConn {
	return &slowConn{
		StreamConn: conn.(carrier.StreamConn),
		begun:      make(chan struct{}, 1),
		opened:     make(chan chan struct{}, 1),
		full:       make(chan struct{}, 1),
	}
}

func (c *slowConn) OpenStream(ctx context.Context) (carrier.Stream, error) {
	select {
	case <-c.full:
		c.begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	default:
	}
	st, err := c.StreamConn.OpenStream(ctx)
	select {
	case hold := <-c.opened:
		c.begun <- struct{}{}
		<-hold
	default:
	}
	return st, err
}

func (c *slowConn) AcceptStream(ctx context.Context) (carrier.Stream, error) {
	st, err := c.StreamConn.AcceptStream(ctx)
	if c.late != nil {
		select {
		case <-c.late:
		case <-ctx.Done():
		}
	}
	return st, err
}

// over makes a session from a connection whose ends may have been wrapped.
func over(t *testing.T, server, client carrier.Conn, dial, listen mux.Config) (d, l mux.Session) {
	t.Helper()
	d, err := nativemux.New().DialSide(server, dial)
	if err != nil {
		t.Fatal(err)
	}
	l, err = nativemux.New().ListenSide(client, listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		d.Close()
	})
	return d, l
}

// openPair opens a stream and accepts it.
func openPair(t *testing.T, d, l mux.Session) (opened, accepted mux.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	opened, err := d.Open(ctx)
	if err != nil {
		t.Fatal("open:", err)
	}
	accepted = await(t, "Accept", func() mux.Stream {
		st, err := l.Accept(t.Context())
		if err != nil {
			t.Error("accept:", err)
		}
		return st
	})
	return opened, accepted
}

func TestFailedOpenGivesItsPlaceBack(t *testing.T) {
	leak.Check(t)
	server, client, _ := connection(t)
	slow := newSlowConn(server)
	d, l := over(t, slow, client, mux.Config{AcceptBacklog: 2}, mux.Config{})
	openPair(t, d, l)
	for range 5 {
		slow.full <- struct{}{}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-slow.begun
			cancel()
		}()
		if _, err := d.Open(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal("open:", err)
		}
	}
	openPair(t, d, l)
}

// TestLeavingWakesOpen shuts the peer down while Open waits for the carrier.
func TestLeavingWakesOpen(t *testing.T) {
	leak.Check(t)
	server, client, _ := connection(t)
	slow := newSlowConn(server)
	d, l := over(t, slow, client, mux.Config{}, mux.Config{})
	openPair(t, d, l)
	slow.full <- struct{}{}
	opened := make(chan error, 1)
	go func() { _, err := d.Open(context.Background()); opened <- err }()
	<-slow.begun
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go l.Shutdown(ctx)
	if err := await(t, "Open", func() error { return <-opened }); !errors.Is(err, mux.ErrGoAway) {
		t.Errorf("open: %v, want mux.ErrGoAway", err)
	}
}

// TestOpenDuringShutdown lets the carrier open a stream for an Open that came just before
// Shutdown. The peer counts it.
func TestOpenDuringShutdown(t *testing.T) {
	leak.Check(t)
	server, client, _ := connection(t)
	slow := newSlowConn(server)
	d, l := over(t, slow, client, mux.Config{AcceptBacklog: 2}, mux.Config{})
	inUse, accepted := openPair(t, d, l)
	hold := make(chan struct{})
	slow.opened <- hold
	opened := make(chan error, 1)
	go func() { _, err := d.Open(t.Context()); opened <- err }()
	<-slow.begun
	late := await(t, "Accept", func() mux.Stream { st, _ := l.Accept(t.Context()); return st })
	shut := make(chan error, 1)
	go func() { shut <- d.Shutdown(context.Background()) }()
	for { // until the shutdown has begun
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		st, err := d.Open(ctx)
		cancel()
		if err == nil {
			st.Close()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	close(hold)
	if err := await(t, "Open", func() error { return <-opened }); err == nil {
		t.Error("a stream was opened after Shutdown")
	}
	late.SetReadDeadline(time.Now().Add(patience))
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
		t.Errorf("a stream that came too late: %v, want mux.ErrReset", err)
	}
	late.Close()
	io.WriteString(inUse, "x")
	if _, err := io.ReadFull(accepted, make([]byte, 1)); err != nil {
		t.Error("a stream in use:", err)
	}
	inUse.Close()
	accepted.Close()
	if err := await(t, "Shutdown", func() error { return <-shut }); err != nil {
		t.Error("shutdown:", err)
	}
}

// TestLateArrival closes a session whose peer has not seen the last stream yet.
func TestLateArrival(t *testing.T) {
	leak.Check(t)
	server, client, _ := connection(t)
	slow := newSlowConn(client)
	slow.late = make(chan struct{})
	d, l := over(t, server, slow, mux.Config{}, mux.Config{})
	st, err := d.Open(t.Context())
	if err != nil {
		t.Fatal("open:", err)
	}
	const size = 1 << 10
	st.Write(make([]byte, size))
	st.Close()
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	<-time.After(200 * time.Millisecond) // in which Close must not be done
	close(slow.late)
	accepted := await(t, "Accept", func() mux.Stream { st, _ := l.Accept(t.Context()); return st })
	if n, err := io.Copy(io.Discard, accepted); n != size || err != nil {
		t.Errorf("got %d of %d bytes, %v", n, size, err)
	}
	await(t, "Close", func() error { return <-closed })
}

// TestRefusedStreamsMakeRoom opens many streams that are all refused.
func TestRefusedStreamsMakeRoom(t *testing.T) {
	p := connect(t, mux.Config{AcceptBacklog: 4}, mux.Config{MaxStreams: -1})
	defer p.Listen.Close()
	defer p.Dial.Close()
	for range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		st, err := p.Dial.Open(ctx)
		cancel()
		if err != nil {
			t.Fatal("open:", err)
		}
		st.Close()
	}
}

func TestAcceptedGoesBack(t *testing.T) {
	server, client, _ := connection(t)
	d, err := nativemux.New().DialSide(server, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 2 {
		if _, err := d.Open(t.Context()); err != nil {
			t.Fatal("open:", err)
		}
	}
	client.Write([]byte{0, 1, 1, 2, 1, 1}) // hello, accepted 2, accepted 1
	if cause := awaitEnd(t, d); !errors.Is(cause, mux.ErrProtocol) {
		t.Errorf("cause %v, want mux.ErrProtocol", cause)
	}
}
