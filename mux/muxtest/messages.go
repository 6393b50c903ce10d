package muxtest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

func acceptEndsWithContext(t *testing.T, connect Connect) {
	p := connect.pair(t, mux.Config{}, mux.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	accepting := start(func() error { _, err := p.Listen.Accept(ctx); return err })
	letBlock()
	cancel()
	if err := await(t, "Accept", accepting); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if st, err := p.Listen.Accept(canceled(t)); st != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Accept with a context that is over: %v, %v, want context.Canceled", st, err)
	}
	// Neither loses anything, and a context bounds the call, not the stream.
	dialled := open(t, p.Dial)
	ctx, cancel = context.WithTimeout(t.Context(), soon)
	accepted, err := p.Listen.Accept(ctx)
	cancel()
	if err != nil {
		t.Fatal("accept:", err)
	}
	accepted.Write([]byte("still here"))
	accepted.Close()
	if got, err := readAll(t, dialled); string(got) != "still here" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// An inbox keeps messages.
type inbox chan []byte

func (in inbox) config() mux.Config {
	return mux.Config{OnMessage: func(m []byte) { in <- m }}
}

// newInbox returns an inbox with room for n messages.
func newInbox(n int) inbox { return make(inbox, n) }

func (in inbox) next(t *testing.T) []byte {
	t.Helper()
	select {
	case m := <-in:
		return m
	case <-time.After(soon):
		t.Fatalf("no message after %v", soon)
		return nil
	}
}

// message returns the message that is sent as number i.
func message(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i*mux.MaxMessage/20) }

func messages(t *testing.T, connect Connect) {
	t.Run("in order", func(t *testing.T) {
		dialled, listened := newInbox(21), newInbox(21)
		p := connect.pair(t, dialled.config(), listened.config())
		stalled, _ := p.open(t) // must not get in the way
		stalled.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		for err := error(nil); err == nil; {
			_, err = stalled.Write(make([]byte, 64<<10))
		}
		for i := range 21 {
			m := message(i)
			for _, s := range []mux.Session{p.Dial, p.Listen} {
				if err := s.Send(m); err != nil {
					t.Fatal("send:", err)
				}
			}
			for j := range m {
				m[j] = 0xff // it is the caller's again
			}
		}
		for i := range 21 {
			for _, in := range []inbox{dialled, listened} {
				if got := in.next(t); !bytes.Equal(got, message(i)) {
					t.Errorf("message %d: %d bytes, want %d", i, len(got), len(message(i)))
				}
			}
		}
	})
	t.Run("one at a time", func(t *testing.T) { messagesTakeTurns(t, connect) })
	t.Run("right before Close", func(t *testing.T) {
		for range rounds(20) {
			in := newInbox(1)
			p := connect.pair(t, mux.Config{}, in.config())
			p.open(t)
			if err := p.Dial.Send([]byte("goodbye")); err != nil {
				t.Fatal("send:", err)
			}
			p.Dial.Close()
			if got := in.next(t); string(got) != "goodbye" {
				t.Errorf("message %q", got)
			}
		}
	})
	t.Run("limits", func(t *testing.T) {
		in := newInbox(1)
		p := connect.pair(t, mux.Config{}, in.config())
		if err := p.Dial.Send(make([]byte, mux.MaxMessage+1)); err == nil {
			t.Error("a message that is too long can be sent")
		}
		if err := p.Dial.Send([]byte("short")); err != nil {
			t.Fatal("send:", err)
		}
		if got := in.next(t); string(got) != "short" {
			t.Errorf("message %q", got)
		}
		p.Listen.Send([]byte("to nobody")) // there is no OnMessage
		p.Dial.Close()
		if err := p.Dial.Send(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: error %v, want net.ErrClosed", err)
		}
		awaitEnd(t, p.Listen)
		if err := p.Listen.Send(nil); !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("after Close by the peer: error %v, want mux.ErrSessionEnded", err)
		}
	})
	t.Run("session is busy", func(t *testing.T) {
		config := mux.Config{KeepAlive: -1, Linger: -1}
		p := connect.pair(t, config, config)
		var writing []<-chan error
		for range 8 {
			st, _ := p.open(t)
			writing = append(writing, start(func() error { _, err := st.Write(make([]byte, 1<<20)); return err }))
		}
		p.DialLink.Freeze()
		letBlock() // until all have written what there is room for
		for range 10 {
			if err := p.Dial.Send(make([]byte, mux.MaxMessage)); err != nil {
				t.Fatal("send:", err)
			}
		}
		p.Dial.Close()
		for _, c := range writing {
			await(t, "Write", c)
		}
	})
	t.Run("carrier is stuck", func(t *testing.T) {
		config := mux.Config{KeepAlive: -1, Linger: -1}
		p := connect.pair(t, config, config)
		p.open(t)
		p.DialLink.Freeze()
		sending := start(func() error {
			for sent := 0; sent < 64<<20; sent += mux.MaxMessage {
				if err := p.Dial.Send(make([]byte, mux.MaxMessage)); err != nil {
					return err
				}
			}
			return nil
		})
		if err := await(t, "Send", sending); err == nil {
			t.Error("64 MiB of messages wait for a carrier that is stuck")
		}
	})
}

// messagesTakeTurns uses a callback that takes its time.
func messagesTakeTurns(t *testing.T, connect Connect) {
	const messages = 20
	var inside, overlaps atomic.Int32
	heard := make(chan struct{}, messages)
	p := connect.pair(t, mux.Config{}, mux.Config{OnMessage: func([]byte) {
		if inside.Add(1) > 1 {
			overlaps.Add(1)
		}
		letBlock()
		inside.Add(-1)
		heard <- struct{}{}
	}})
	p.open(t)
	for range messages {
		if err := p.Dial.Send([]byte("one of many")); err != nil {
			t.Fatal("send:", err)
		}
	}
	for range messages {
		select {
		case <-heard:
		case <-time.After(soon):
			t.Fatalf("no message after %v", soon)
		}
	}
	if n := overlaps.Load(); n > 0 {
		t.Errorf("OnMessage is called %d times while it has not returned", n)
	}
}
