package muxtest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// A side starts one end of a session.
type side func(net.Conn, mux.Config) (mux.Session, error)

// hostileInput feeds sessions with what no peer would send: noise, and a real
// conversation with some bits changed. Every seed is a peer of its own.
func hostileInput(t *testing.T, m mux.Muxer) {
	dialled, accepted := record(t, m)
	before := heap()
	understood := 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		for _, peer := range []struct {
			victim side
			says   []byte
		}{{m.ListenSide, dialled}, {m.DialSide, accepted}} {
			if errors.Is(feed(t, peer.victim, noise(r)), mux.ErrProtocol) {
				understood++
			}
			feed(t, peer.victim, garbled(r, peer.says))
		}
	}
	if understood == 0 {
		t.Error("noise never ends a session with a cause that matches mux.ErrProtocol")
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("after it all the heap has grown by %d MiB", grown>>20)
	}
}

func noise(r *rand.Rand) []byte {
	b := make([]byte, 4<<10)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func garbled(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(8) {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	return b
}

// feed gives input to a session and expects it to end, together with all calls that wait
// for it. It returns the cause.
func feed(t *testing.T, victim side, input []byte) (cause error) {
	t.Helper()
	ours, theirs := testnet.Pair(t)
	s, err := victim(ours, mux.Config{Linger: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	answers := start(func() error { _, err := io.Copy(io.Discard, theirs); return err })
	serving := start(func() error { return echo(s) })
	opening := start(func() error {
		st, err := s.Open(t.Context())
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, st)
		return err
	})
	theirs.Write(input)
	theirs.CloseWrite()
	cause = awaitEnd(t, s)
	if !errors.Is(cause, mux.ErrSessionEnded) || errors.Is(cause, io.EOF) {
		t.Errorf("cause %v, want mux.ErrSessionEnded", cause)
	}
	if err := await(t, "Accept", serving); err == nil {
		t.Error("Accept fails without an error")
	}
	await(t, "Open and Read", opening)
	s.Close()
	await(t, "the peer's Read", answers)
	theirs.Close()
	return cause
}

// A recorder keeps what is written to it.
type recorder struct {
	*net.TCPConn
	written bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.written.Write(p)
	return r.TCPConn.Write(p)
}

// record returns what the two sides write in a conversation.
func record(t *testing.T, m mux.Muxer) (dialled, accepted []byte) {
	t.Helper()
	a, b := testnet.Pair(t)
	dialLink, listenLink := &recorder{TCPConn: a}, &recorder{TCPConn: b}
	dial, err := m.DialSide(dialLink, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	listen, err := m.ListenSide(listenLink, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	go echo(listen)
	for range 10 {
		roundTrip(t, dial)
	}
	st := open(t, dial)
	st.SetDeadline(time.Now().Add(soon))
	go st.Write(make([]byte, 300<<10))
	if _, err := io.CopyN(io.Discard, st, 300<<10); err != nil {
		t.Fatal("read:", err)
	}
	st.Close()
	closing := start(dial.Close)
	listen.Close()
	await(t, "Close", closing)
	return dialLink.written.Bytes(), listenLink.written.Bytes()
}
