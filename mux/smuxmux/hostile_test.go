package smuxmux_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
)

const syn, fin, psh, nop, upd = 0, 1, 2, 3, 4

func frame(cmd byte, id uint32, payload ...byte) []byte {
	b := []byte{2, cmd}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, id)
	return append(b, payload...)
}

func update(id, consumed, window uint32) []byte {
	p := binary.LittleEndian.AppendUint32(nil, consumed)
	return frame(upd, id, binary.LittleEndian.AppendUint32(p, window)...)
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
	s, err := smuxmux.New().ListenSide(ours, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, theirs
}

func TestViolations(t *testing.T) {
	window := frame(syn, 1)
	for range 8 {
		window = append(window, frame(psh, 1, make([]byte, 32<<10)...)...)
	}
	for _, test := range []struct {
		name   string
		input  []byte
		reason string
	}{
		{"other protocol", []byte("HTTP/1.1 200 OK\r\n"), "version 72 instead of 2: the peer does not speak smux v2"},
		{"smux v1", []byte{1, syn, 0, 0, 1, 0, 0, 0}, "version 1 instead of 2"},
		{"unknown command", frame(5, 1), "unknown command 5"},
		{"payload where none is", frame(syn, 1, 'x'), "command 0 with 1 bytes"},
		{"short update", frame(upd, 1, 'x'), "window update of 1 bytes"},
		{"our parity", frame(syn, 2), "stream 2, which only this end may open"},
		{"opened twice", join(frame(syn, 1), frame(syn, 1)), "stream 1 again"},
		{"never opened", frame(psh, 2, 'x'), "stream 2, which was never opened"},
		{"over the window", join(window, frame(psh, 1, 'x')), "1 bytes more on stream 1"},
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
		})
	}
}

func TestHarmless(t *testing.T) {
	leak.Check(t)
	s, peer := victim(t)
	peer.Write(join(
		update(77, 0, 1),                     // credit for a stream that is gone
		frame(psh, 77, 'x'),                  // data for one
		frame(fin, 77),                       // and its end
		frame(psh, 77),                       // no data at all
		frame(nop, 0),                        // a sign of life
		frame(nop, 2),                        // an answer to nothing
		frame(syn, 1), update(1, 0, 1<<32-1), // boundless credit
		frame(fin, 1), frame(psh, 1, 'x'), // data after the end: a Write that Close overtook
		frame(fin, 1), // a second end
		frame(nop, 1),
	))
	want := frame(nop, 2)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != string(want) {
		t.Errorf("the peer hears % x, %v, want % x", got, err, want)
	}
	if _, err := s.Accept(t.Context()); err != nil {
		t.Error("accept:", err)
	}
	peer.Close()
}

// TestFlood opens streams until the session has had enough. The library accepts all of
// them, hundreds of thousands.
func TestFlood(t *testing.T) {
	leak.Check(t)
	s, peer := victim(t)
	id := uint32(1)
	for err := error(nil); err == nil; {
		var batch []byte
		for range 1000 {
			batch = append(batch, frame(syn, id)...)
			id += 2
		}
		_, err = peer.Write(batch)
	}
	<-s.Context().Done()
	if err := context.Cause(s.Context()); !errors.Is(err, mux.ErrProtocol) {
		t.Errorf("cause %v, want mux.ErrProtocol", err)
	}
}
