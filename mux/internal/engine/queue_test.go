package engine

import (
	"bufio"
	"bytes"
	"math"
	"net"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// A terseWire is a protocol with frames for strays at most.
type terseWire struct{ strays bool }

func (terseWire) Name() string { return "terse" }

func (terseWire) Answers() bool { return false }

func (terseWire) Read(r *bufio.Reader) (Frame, error) {
	_, err := r.ReadByte()
	return Frame{}, err
}

func (w terseWire) Append(b []byte, f Frame) []byte {
	if w.strays && f.Flags&Stray != 0 {
		b = append(b, 'x')
	}
	return b
}

// TestStraysAreForgotten answers frames for streams that are gone, on a carrier that
// takes nothing.
func TestStraysAreForgotten(t *testing.T) {
	leak.Check(t)
	for _, test := range []struct {
		wire      terseWire
		remember  int
		holdQueue bool
	}{
		{terseWire{strays: true}, 1000, true},
		{terseWire{strays: false}, 0, false},
	} {
		conn, peer := net.Pipe()
		s := New(test.wire, conn, ListenSide, mux.Config{Linger: -1}).(*session)
		s.Mu.Lock()
		s.writer.Hold() // nothing is written yet
		for range 10 {
			for id := range uint32(1000) {
				if err := s.replyStrayLocked(id); err != nil {
					t.Error(err)
				}
			}
		}
		if got := len(s.strays); got != test.remember {
			t.Errorf("%+v: %d strays are remembered, want %d", test.wire, got, test.remember)
		}
		if got := s.queue != nil; got != test.holdQueue {
			t.Errorf("%+v: the session holds a queue: %v, want %v", test.wire, got, test.holdQueue)
		}
		s.writer.Release()
		s.Mu.Unlock()
		peer.Close()
		s.Close()
	}
}

// TestMessageSize expects a queue in one piece on a byte stream, and in messages that get
// through proxies on a carrier that has messages.
func TestMessageSize(t *testing.T) {
	large := make([]byte, writeloop.MostRoom)
	for i := range large {
		large[i] = byte(i)
	}
	for _, test := range []struct{ size, most, want int }{
		{maxMessageSize, maxMessageSize, 1},
		{maxMessageSize + 1, maxMessageSize, 2},
		{len(large), maxMessageSize, 4},
		{len(large), math.MaxInt, 1},
	} {
		q := &queue{buf: large[:test.size], most: test.most}
		got := q.Messages()
		if len(got) != test.want || !bytes.Equal(bytes.Join(got, nil), large[:test.size]) {
			t.Errorf("%d bytes become %d messages, want %d with the same bytes", test.size, len(got), test.want)
		}
	}
}
