package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
)

// A pingWire has frames with a kind and a value, and reads a Pong slowly.
type pingWire struct{ lag time.Duration }

func (pingWire) Name() string { return "ping" }

func (pingWire) Answers() bool { return true }

func (w pingWire) Read(r *bufio.Reader) (Frame, error) {
	var b [5]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{Kind: Kind(b[0]), Value: binary.BigEndian.Uint32(b[1:])}
	if f.Kind == Pong {
		time.Sleep(w.lag)
	}
	return f, nil
}

func (pingWire) Append(b []byte, f Frame) []byte {
	if f.Kind != Ping && f.Kind != Pong {
		return b
	}
	return binary.BigEndian.AppendUint32(append(b, byte(f.Kind)), f.Value)
}

// answer makes peer answer each Ping with the result of reply, which gets its number.
func answer(peer net.Conn, reply func(n int, value uint32)) {
	r := bufio.NewReader(peer)
	for n := 1; ; n++ {
		f, err := pingWire{}.Read(r)
		if err != nil {
			return
		}
		reply(n, f.Value)
	}
}

func pong(peer net.Conn, value uint32) {
	peer.Write(pingWire{}.Append(nil, Frame{Kind: Pong, Value: value}))
}

// TestAnswers uses peers that answer in their own ways: they are alive.
func TestAnswers(t *testing.T) {
	const interval = 5 * time.Second
	for _, test := range []struct {
		name     string
		lag      time.Duration
		reply    func(peer net.Conn, n int, value uint32)
		shortest time.Duration
	}{{
		name:     "at once",
		reply:    func(peer net.Conn, _ int, value uint32) { pong(peer, value) },
		shortest: 1,
	}, {
		name: "one is lost",
		reply: func(peer net.Conn, n int, value uint32) {
			time.Sleep(time.Second)
			if n > 1 {
				pong(peer, value)
			} else {
				peer.Write([]byte{byte(Idle), 0, 0, 0, 0}) // it is there
			}
		},
		shortest: time.Second,
	}, {
		name: "when the next question is about to be asked",
		lag:  time.Millisecond,
		reply: func(peer net.Conn, _ int, value uint32) {
			time.Sleep(interval - 500*time.Microsecond)
			pong(peer, value)
		},
	}, {
		name: "also what was not asked",
		reply: func(peer net.Conn, _ int, value uint32) {
			pong(peer, value+1)
			time.Sleep(time.Second)
			pong(peer, value)
			pong(peer, value)
		},
		shortest: time.Second,
	}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := net.Pipe()
				s := New(pingWire{test.lag}, conn, DialSide, mux.Config{KeepAlive: interval, KeepAliveTimeout: interval}).(*session)
				answering := make(chan struct{})
				go func() {
					defer close(answering)
					answer(peer, func(n int, value uint32) { test.reply(peer, n, value) })
				}()
				time.Sleep(time.Minute)
				if err := context.Cause(s.Context()); err != nil {
					t.Error(err)
				}
				s.Close()
				<-answering
				if got := s.Pings.Shortest(); test.shortest != 0 && got != test.shortest {
					t.Errorf("round trip of %v, want %v", got, test.shortest)
				}
			})
		})
	}
}
