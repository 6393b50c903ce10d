package muxlib_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxlib"
)

// A frame has two bytes of length, and a byte that says whether it is for the library.
func frame(to byte, body string) []byte {
	return append([]byte{byte(len(body) >> 8), byte(len(body)), to}, body...)
}

// framing is a library that has only frames.
type framing struct{ *muxlib.Frames }

func (l framing) Open() (net.Conn, error) { <-l.Done(); return nil, net.ErrClosed }

func (l framing) Accept() (net.Conn, error) { <-l.Done(); return nil, net.ErrClosed }

// startFraming returns a library's frames, and the peer.
func startFraming(t *testing.T, heard func(body []byte)) (*muxlib.Frames, *net.TCPConn) {
	t.Helper()
	var frames *muxlib.Frames
	m := muxlib.New(muxlib.Library{Name: "framing", Start: func(end *muxlib.End) (muxlib.Session, error) {
		frames = muxlib.NewFrames(end, muxlib.Format{
			Header: 3,
			Parse:  func(h []byte) muxlib.Frame { return muxlib.Frame{Size: int(h[0])<<8 | int(h[1])} },
			Hear: func(_ *muxlib.Frame, h, body []byte) (bool, error) {
				if h[2] == 'x' {
					heard(body)
				}
				return h[2] != 'x', nil
			},
		})
		return framing{frames}, nil
	}})
	ours, theirs := testnet.Pair(t)
	s, err := m.DialSide(ours, mux.Config{Linger: -1, KeepAlive: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return frames, theirs
}

// TestSay sends a frame while the library is in the middle of one.
func TestSay(t *testing.T) {
	leak.Check(t)
	frames, peer := startFraming(t, nil)
	first, second := frame('l', "first"), frame('l', "second")
	said := frame('x', "said")
	frames.Write(first[:3])
	if err := frames.Say(said); err != nil {
		t.Fatal(err)
	}
	frames.Flush()
	frames.Write(append(first[3:], second[:1]...))
	frames.Write(second[1:])
	want := bytes.Join([][]byte{said, first, second}, nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the peer reads %q, %v, want %q", got, err, want)
	}
}

// TestHear lets frames arrive that are not the library's, small and large, and passes it
// one.
func TestHear(t *testing.T) {
	leak.Check(t)
	var heard [][]byte
	frames, peer := startFraming(t, func(body []byte) { heard = append(heard, bytes.Clone(body)) })
	large := string(bytes.Repeat([]byte("l"), 50_000))
	for _, f := range [][]byte{frame('x', "small"), frame('l', large), frame('x', large), frame('x', ""), frame('l', "")} {
		peer.Write(f)
	}
	peer.CloseWrite()
	told := frame('l', "told")
	frames.Tell(told)
	want := bytes.Join([][]byte{told, frame('l', large), frame('l', "")}, nil)
	if got, err := io.ReadAll(frames); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the library reads %d bytes, %v, want %d", len(got), err, len(want))
	}
	if len(heard) != 3 || string(heard[0]) != "small" || heard[1] != nil || heard[2] == nil {
		t.Errorf("heard %q, want a small body, none of a large one, and an empty one", heard)
	}
}

// TestSayToNobody sends more than a peer takes.
func TestSayToNobody(t *testing.T) {
	leak.Check(t)
	frames, _ := startFraming(t, nil)
	for said, limit := 0, 256<<20; ; said += 1000 {
		if frames.Say(frame('x', string(make([]byte, 1000)))) != nil {
			break
		}
		if said > limit {
			t.Fatal("Say takes more than 256 MiB for a peer that reads nothing")
		}
	}
}
