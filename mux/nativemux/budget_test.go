package nativemux_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/mux"
)

// neglected is longer than it takes to find a stream unread.
const neglected = 300 * time.Millisecond

// simulate runs a test in a bubble, in which waiting takes no time.
func simulate(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// flood writes to st forever.
func flood(st mux.Stream) {
	for buf := make([]byte, 64<<10); ; {
		if _, err := st.Write(buf); err != nil {
			return
		}
	}
}

// echoes expects that a stream, which the peer echoes, is not delayed.
func echoes(t *testing.T, st mux.Stream) {
	t.Helper()
	st.SetDeadline(time.Now().Add(patience))
	io.WriteString(st, "hello")
	if _, err := io.ReadFull(st, make([]byte, 5)); err != nil {
		t.Error("a stream that is read:", err)
	}
}

// TestMoreStreamsThanTheWindow uses streams that together could fill the carrier's
// window: if they did, the session would stand still.
func TestMoreStreamsThanTheWindow(t *testing.T) {
	for name, read := range map[string]func(mux.Stream){
		"not read": func(mux.Stream) {},
		"read slowly": func(st mux.Stream) {
			for {
				if _, err := st.Read(make([]byte, 64)); err != nil {
					return
				}
				<-time.After(neglected / 10)
			}
		},
	} {
		simulate(t, name, func(t *testing.T) {
			p := newNetwork(t, conditions{}).sessions(t, mux.Config{KeepAlive: 5 * time.Second},
				webtransport.WithWindows(128<<10, 128<<10, 16<<20))
			live, accepted := openPair(t, p.dial, p.listen)
			go io.Copy(accepted, accepted)
			for range 160 { // 128 fill it
				st, peer := openPair(t, p.dial, p.listen)
				go flood(st)
				go read(peer)
			}
			<-time.After(2 * neglected)
			for range 5 {
				echoes(t, live)
			}
		})
	}
}

// TestGrownWindows reads streams until their windows have grown, and then stops: a few of
// them could fill the carrier's window.
func TestGrownWindows(t *testing.T) {
	for _, windows := range []struct {
		stream, maxStream, connection int
		streams                       int // that are more than enough
	}{
		{64 << 10, 512 << 10, 4 << 20, 12},
		{64 << 10, 8 << 20, 8 << 20, 6},
		{512 << 10, 2 << 20, 8 << 20, 6},
	} {
		simulate(t, fmt.Sprint(windows), func(t *testing.T) {
			p := newNetwork(t, conditions{}).sessions(t, mux.Config{KeepAlive: 5 * time.Second},
				webtransport.WithWindows(windows.stream, windows.maxStream, windows.connection))
			live, accepted := openPair(t, p.dial, p.listen)
			go io.Copy(accepted, accepted)
			for range windows.streams {
				st, peer := openPair(t, p.dial, p.listen)
				go flood(st)
				if _, err := io.CopyN(io.Discard, peer, 3<<20); err != nil {
					t.Fatal(err)
				}
				<-time.After(10 * neglected)
				echoes(t, live)
			}
		})
	}
}

// TestGrownWindowsOfReaders reads streams slowly after their windows have grown.
func TestGrownWindowsOfReaders(t *testing.T) { synctest.Test(t, grownWindowsOfReaders) }

func grownWindowsOfReaders(t *testing.T) {
	p := newNetwork(t, conditions{}).sessions(t, mux.Config{}, webtransport.WithWindows(0, 0, 32<<20))
	failed := make(chan error)
	const readers = 6
	for range readers {
		st, peer := openPair(t, p.dial, p.listen)
		go flood(st)
		go func() {
			_, err := io.CopyN(io.Discard, peer, 6<<20)
			for i := 0; i < 20 && err == nil; i++ {
				_, err = io.CopyN(io.Discard, peer, 64<<10)
				<-time.After(neglected)
			}
			failed <- err
		}()
	}
	for range readers {
		if err := <-failed; err != nil {
			t.Error("a stream that is read:", err)
		}
	}
}

// TestReadStreamsStay expects that streams that are read, if not always, do not count.
func TestReadStreamsStay(t *testing.T) { synctest.Test(t, readStreamsStay) }

func readStreamsStay(t *testing.T) {
	p := newNetwork(t, conditions{}).sessions(t, mux.Config{ReceiveBuffer: 8 << 20})
	var opened, accepted []mux.Stream
	for range 400 {
		a, b := openPair(t, p.dial, p.listen)
		opened, accepted = append(opened, a), append(accepted, b)
	}
	<-time.After(neglected)
	for _, size := range []int{60 << 10, 1} {
		for i := range opened {
			go opened[i].Write(make([]byte, size))
			accepted[i].SetReadDeadline(time.Now().Add(patience))
			if _, err := io.ReadFull(accepted[i], make([]byte, size)); err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
		<-time.After(neglected)
	}
}

// TestOneStreamStays expects a single stream that is not read for a while to stay,
// however small the budget.
func TestOneStreamStays(t *testing.T) {
	for _, config := range []mux.Config{{ReceiveBuffer: 256 << 10}, {Window: 64 << 20}} {
		simulate(t, fmt.Sprintf("%+v", config), func(t *testing.T) {
			p := newNetwork(t, conditions{}).sessions(t, config)
			st, peer := openPair(t, p.dial, p.listen)
			go flood(st)
			<-time.After(2 * neglected)
			if n, err := io.CopyN(io.Discard, peer, 8<<20); err != nil {
				t.Errorf("read %d bytes, then %v", n, err)
			}
		})
	}
}

// TestOldDeadline lets a Read time out, and neglects the stream afterwards.
func TestOldDeadline(t *testing.T) { synctest.Test(t, oldDeadline) }

func oldDeadline(t *testing.T) {
	p := newNetwork(t, conditions{}).sessions(t, mux.Config{})
	st, peer := openPair(t, p.dial, p.listen)
	peer.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("read:", err)
	}
	<-time.After(neglected)
	io.WriteString(st, "x")
	peer.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		t.Error("read:", err)
	}
}

// A lateConn's streams deliver their data only when their reader gives up, as if both
// happened at the same time.
type lateConn struct{ carrier.StreamConn }

type lateStream struct{ carrier.Stream }

func (c lateConn) AcceptStream(ctx context.Context) (carrier.Stream, error) {
	st, err := c.StreamConn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	return lateStream{st}, nil
}

func (s lateStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if err != nil && err != io.EOF {
		return len(p), nil
	}
	return n, err
}

// TestLateData lets data arrive in streams while they are closed: it must not count
// forever.
func TestLateData(t *testing.T) { synctest.Test(t, lateData) }

func lateData(t *testing.T) {
	server, client := newNetwork(t, conditions{}).dial(t)
	d, l := over(t, server, lateConn{client.(carrier.StreamConn)}, mux.Config{}, mux.Config{ReceiveBuffer: 1 << 20})
	for range 8 {
		var all []mux.Stream
		for range 100 {
			_, st := openPair(t, d, l)
			all = append(all, st)
		}
		<-time.After(neglected) // they are pumped now
		for _, st := range all {
			st.Close()
		}
	}
	st, peer := openPair(t, d, l)
	<-time.After(neglected)
	io.WriteString(st, "x")
	peer.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		t.Error("read:", err)
	}
}
