package muxtest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// leaves tests that the connection has got what was written, and the end of the stream,
// when the call that promises it returns: the program may exit then.
func leaves(t *testing.T, connect Connect) {
	for name, finish := range map[string]func(mux.Stream) error{
		"Write":      func(mux.Stream) error { return nil },
		"CloseWrite": mux.Stream.CloseWrite,
		"Close":      mux.Stream.Close,
	} {
		t.Run(name, func(t *testing.T) {
			for i := range rounds(20) {
				p := connect.pair(t, mux.Config{}, mux.Config{})
				writer, reader := p.open(t)
				link := p.DialLink
				if name == "Write" { // so that both ends know each other
					exchange(t, writer, reader)
				}
				if i%2 == 1 {
					writer, reader, link = reader, writer, p.ListenLink
				}
				leavesWhole(t, writer, reader, link, finish, name != "Write")
				p.DialLink.Close()
				p.ListenLink.Close()
			}
		})
	}
	inParallel(t, map[string]func(t *testing.T){
		"stuck":    func(t *testing.T) { leavesLate(t, connect) },
		"deadline": func(t *testing.T) { leavesUntilDeadline(t, connect) },
	})
}

// exchange sends a byte to and fro.
func exchange(t *testing.T, a, b mux.Stream) {
	t.Helper()
	for range 2 {
		if _, err := a.Write([]byte{1}); err != nil {
			t.Fatal("write:", err)
		}
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
			t.Fatal("read:", err)
		}
		a, b = b, a
	}
}

// leavesWhole freezes the link after finish, and looks for what was written before.
func leavesWhole(t *testing.T, writer, reader mux.Stream, link Link, finish func(mux.Stream) error, ends bool) {
	t.Helper()
	sent := bytes.Repeat([]byte("0123456789"), 1000)
	if _, err := writer.Write(sent); err != nil {
		t.Fatal("write:", err)
	}
	if err := finish(writer); err != nil {
		t.Fatal("the end of the stream:", err)
	}
	link.Freeze()
	reader.SetReadDeadline(time.Now().Add(soon))
	got := make([]byte, len(sent))
	if n, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d of %d bytes have left, %v", n, len(sent), err)
	}
	if !ends {
		return
	}
	if n, err := reader.Read(got); n != 0 || err != io.EOF {
		t.Fatalf("the end of the stream has not left: %d bytes more, %v", n, err)
	}
}

// stuckFor is how long calls wait for a stuck carrier. muchLess is clearly shorter, even
// on a busy machine.
const (
	stuckFor = time.Second
	muchLess = stuckFor / 2
)

// stuck returns streams of a session whose carrier has just become stuck.
func stuck(t *testing.T, connect Connect, streams int) []mux.Stream {
	t.Helper()
	p := connect.pair(t, mux.Config{Linger: stuckFor, KeepAlive: -1}, mux.Config{})
	all := make([]mux.Stream, streams)
	for i := range all {
		dialled, accepted := p.open(t)
		exchange(t, dialled, accepted)
		all[i] = dialled
	}
	p.DialLink.Freeze()
	return all
}

// leavesLate closes streams while the carrier is stuck. Close must report that in time,
// counted from when the carrier became stuck, and close them all the same.
func leavesLate(t *testing.T, connect Connect) {
	all := stuck(t, connect, 22)
	closing := make([]<-chan error, 10)
	began := time.Now()
	for i, st := range all[:10] {
		closing[i] = start(func() error {
			st.Write([]byte("late"))
			return st.Close()
		})
	}
	ending := start(all[10].CloseWrite)
	for _, c := range append(closing, ending) {
		if err := await(t, "Close or CloseWrite", c); !errors.Is(err, mux.ErrUnsent) {
			t.Errorf("Close or CloseWrite on a stuck carrier: %v, want mux.ErrUnsent", err)
		}
	}
	if took := time.Since(began); took < muchLess {
		t.Errorf("they gave up after %v, and Linger is %v", took, stuckFor)
	}
	if err := all[0].Close(); err != nil {
		t.Error("second Close:", err)
	}
	if _, err := all[0].Write([]byte("closed")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close gave up: %v, want net.ErrClosed", err)
	}
	began = time.Now()
	for _, st := range all[11:21] {
		st.Write([]byte("later"))
		if err := st.Close(); !errors.Is(err, mux.ErrUnsent) {
			t.Errorf("Close on a carrier that has been stuck: %v, want mux.ErrUnsent", err)
		}
	}
	if err := all[21].Reset(); err != nil {
		t.Error("Reset:", err)
	}
	if took := time.Since(began); took > stuckFor {
		t.Errorf("10 Closes and a Reset on a carrier that has been stuck took %v, which is as long as Linger", took)
	}
}

// leavesUntilDeadline ends a CloseWrite on a stuck carrier, by the write deadline and by
// Reset.
func leavesUntilDeadline(t *testing.T, connect Connect) {
	parts := make(map[string]func(t *testing.T))
	for name, end := range map[string]struct {
		by   func(mux.Stream) error
		want error
	}{
		"SetWriteDeadline": {func(st mux.Stream) error { return st.SetWriteDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		"Reset":            {mux.Stream.Reset, net.ErrClosed},
	} {
		parts[name] = func(t *testing.T) {
			st := stuck(t, connect, 1)[0]
			began := time.Now()
			ending := start(st.CloseWrite)
			letBlock()
			if err := end.by(st); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			err := await(t, "CloseWrite", ending)
			if took := time.Since(began); !errors.Is(err, end.want) && !(took >= muchLess && errors.Is(err, mux.ErrUnsent)) {
				t.Errorf("%s ends CloseWrite with %v, want %v", name, err, end.want)
			} else if took >= stuckFor {
				t.Errorf("CloseWrite goes on for %v after %s", took, name)
			}
		}
	}
	inParallel(t, parts)
}
