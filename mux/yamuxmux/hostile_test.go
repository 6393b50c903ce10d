package yamuxmux_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

const (
	data, update, ping, goAway = 0, 1, 2, 3
	syn, ack, fin, rst         = 1, 2, 4, 8
)

func frame(typ byte, flags uint16, id, length uint32, payload ...byte) []byte {
	b := []byte{0, typ}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	b = binary.BigEndian.AppendUint32(b, length)
	return append(b, payload...)
}

func join(frames ...[]byte) (b []byte) {
	for _, f := range frames {
		b = append(b, f...)
	}
	return b
}

// victim returns the listening end of a session, and its hostile peer.
func victim(t *testing.T) (mux.Session, *net.TCPConn) {
	t.Helper()
	ours, theirs := testnet.Pair(t)
	s, err := yamuxmux.New().ListenSide(ours, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, theirs
}

func TestViolations(t *testing.T) {
	window := make([]byte, 256<<10)
	for _, test := range []struct {
		name   string
		input  []byte
		reason string
	}{
		{"other protocol", []byte("HTTP/1.1 200 OK\r\n"), "version 72 instead of 0: the peer does not speak yamux"},
		{"unknown type", frame(4, 0, 1, 0), "unknown type 4"},
		{"stream 0", frame(data, syn, 0, 0), "stream 0"},
		{"our parity", frame(update, syn, 2, 0), "stream 2, which only this end may open"},
		{"opened twice", join(frame(update, syn, 1, 0), frame(update, syn, 1, 0)), "stream 1 again"},
		{"never opened", frame(data, 0, 2, 1, 'x'), "stream 2, which was never opened"},
		{"over the window", join(frame(data, syn, 1, 256<<10, window...), frame(data, 0, 1, 1, 'x')), "1 bytes more on stream 1"},
		{"over the window at once", frame(data, syn, 1, 256<<10+1), "1 bytes more on stream 1"},
		{"enormous", frame(data, 0, 1, 1<<31), "frame of 2147483648 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			s, peer := victim(t)
			peer.Write(test.input)
			<-s.Context().Done()
			err := context.Cause(s.Context())
			if !errors.Is(err, mux.ErrProtocol) || !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("cause %v, want mux.ErrProtocol and mux.ErrSessionEnded", err)
			}
			if !strings.Contains(err.Error(), test.reason) {
				t.Errorf("cause %q does not say %q", err, test.reason)
			}
			// The peer is told before the connection closes.
			said, err := io.ReadAll(peer)
			if farewell := string(frame(goAway, 0, 0, 1)); !strings.HasSuffix(string(said), farewell) {
				t.Errorf("the peer hears % x (%v), which does not end in % x", said, err, farewell)
			}
		})
	}
}

func TestHarmless(t *testing.T) {
	leak.Check(t)
	s, peer := victim(t)
	peer.Write(join(
		frame(update, 0, 77, 1),      // credit for a stream that is gone
		frame(data, 0, 77, 3, 1, 2),  // data for one
		[]byte{3},                    // its last byte
		frame(update, rst, 77, 0),    // and its end
		frame(update, syn, 1, 1<<31), // boundless credit
		frame(update, 0, 1, 1<<31),
		frame(update, fin, 1, 0),
		frame(data, 0, 1, 1, 'x'), // data after the end: a Write that Close overtook
		frame(update, fin, 1, 0),  // a second end
		frame(ping, ack, 0, 5),    // an answer to nothing
		frame(ping, syn, 0, 6),
	))
	want := join(frame(update, rst, 77, 0), frame(ping, ack, 0, 6))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != string(want) {
		t.Errorf("the peer hears % x, %v, want % x", got, err, want)
	}
	if _, err := s.Accept(t.Context()); err != nil {
		t.Error("accept:", err)
	}
	peer.Close()
}

// TestFloods sends frames that need answers to sessions whose answers nobody reads. The
// library starts a goroutine for each ping.
func TestFloods(t *testing.T) {
	for name, frameFor := range map[string]func(id uint32) []byte{
		"pings":   func(id uint32) []byte { return frame(ping, syn, 0, id) },
		"strays":  func(id uint32) []byte { return frame(data, 0, id, 1, 'x') },
		"streams": func(id uint32) []byte { return frame(update, syn, id, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s, peer := victim(t)
			goroutines := runtime.NumGoroutine()
			id := uint32(1)
			for err := error(nil); err == nil; {
				var batch []byte
				for range 1000 {
					batch = append(batch, frameFor(id)...)
					id += 2
				}
				_, err = peer.Write(batch)
				if n := runtime.NumGoroutine(); n > goroutines+10 {
					t.Fatalf("%d goroutines answer", n-goroutines)
				}
			}
			<-s.Context().Done()
			if err := context.Cause(s.Context()); !errors.Is(err, mux.ErrProtocol) {
				t.Errorf("cause %v, want mux.ErrProtocol", err)
			}
		})
	}
}

// TestLastByteAfterClose closes a stream while the last byte of its window is on its way.
// The peer has no credit left to notice that nobody reads.
func TestLastByteAfterClose(t *testing.T) {
	leak.Check(t)
	ours, peer := net.Pipe() // whose Write returns when all was read
	s, err := yamuxmux.New().ListenSide(ours, mux.Config{Linger: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := join(frame(update, ack, 1, 0), frame(ping, syn, 0, 1), frame(update, fin, 1, 0), frame(update, rst, 1, 0), frame(ping, ack, 0, 9))
	heard := make(chan []byte)
	go func() {
		peer.SetReadDeadline(time.Now().Add(10 * time.Second))
		got := make([]byte, len(want))
		n, _ := io.ReadFull(peer, got)
		heard <- got[:n]
	}()
	const window = 256 << 10
	peer.Write(frame(update, syn, 1, 0))
	st, err := s.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peer.Write(frame(data, 0, 1, window, make([]byte, window-1)...))
	st.Close()
	peer.Write([]byte{0})
	peer.Write(frame(ping, syn, 0, 9))
	if got := <-heard; !bytes.Equal(got, want) {
		t.Errorf("the peer hears % x, want % x", got, want)
	}
	peer.Close()
}
