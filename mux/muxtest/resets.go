package muxtest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// resets resets streams from either end, at every point of their lives.
func resets(t *testing.T, connect Connect) {
	parts := make(map[string]func(t *testing.T))
	for name, test := range map[string]func(t *testing.T, p Pair, st, peer mux.Stream){
		"while nothing moves":         resetIdle,
		"while data is on its way":    resetInFlight,
		"while the peer writes":       resetWriter,
		"after CloseWrite":            resetAfterCloseWrite,
		"after CloseWrite of a tail":  resetTail,
		"after the peer's CloseWrite": resetAnswer,
		"after Close":                 resetAfterClose,
		"twice":                       resetTwice,
	} {
		parts[name] = func(t *testing.T) {
			eachEnd(t, connect, func(t *testing.T, p Pair, st, peer mux.Stream) {
				test(t, p, st, peer)
				checkClosed(t, st)
				peer.Close()
				for end, s := range map[string]mux.Session{"dial": p.Dial, "listen": p.Listen} {
					if n := s.Streams(); n != 0 {
						t.Errorf("%d streams are in use on the %s side after Reset and Close, want none", n, end)
					}
				}
				go echo(p.Listen)
				roundTrip(t, p.Dial) // the session goes on
			})
		}
	}
	inParallel(t, parts)
	t.Run("before it is accepted", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{})
		st := open(t, p.Dial)
		io.WriteString(st, "never mind")
		reset(t, st)
		checkReset(t, accept(t, p.Listen))
	})
	t.Run("many", func(t *testing.T) {
		p := connect.pair(t, mux.Config{}, mux.Config{MaxStreams: 2})
		for i := 0; i < 50 && !t.Failed(); i++ { // they count no more than closed ones
			st, peer := p.open(t)
			reset(t, peer)
			checkReset(t, st)
			st.Close()
		}
	})
	t.Run("with a stuck carrier", func(t *testing.T) {
		config := mux.Config{KeepAlive: -1, Linger: -1}
		p := connect.pair(t, config, config)
		var stuck []mux.Stream
		var blocked []<-chan error
		for i := range 100 {
			st, _ := p.open(t)
			stuck = append(stuck, st)
			if i < 3 { // more would take a while
				blocked = append(blocked, reading(st), writing(st))
			}
		}
		p.DialLink.Freeze()
		letBlock()
		for _, st := range stuck {
			reset(t, st)
		}
		for _, call := range blocked {
			checkWoken(t, call)
		}
		if n := p.Dial.Streams(); n != 0 {
			t.Errorf("%d streams are in use after Reset, want none", n)
		}
	})
}

// resetIdle lets both ends wait in Read.
func resetIdle(t *testing.T, _ Pair, st, peer mux.Stream) {
	own, others := reading(st), reading(peer)
	letBlock()
	reset(t, st)
	checkWoken(t, own)
	if err := await(t, "the peer's Read", others); !errors.Is(err, mux.ErrReset) || errors.Is(err, io.EOF) {
		t.Errorf("the peer's Read: error %v, want mux.ErrReset and not io.EOF", err)
	}
	checkReset(t, peer)
}

// resetInFlight resets in the middle of a Write that the peer reads.
func resetInFlight(t *testing.T, _ Pair, st, peer mux.Stream) {
	own := writing(st)
	if _, err := io.CopyN(io.Discard, peer, 300_000); err != nil {
		t.Fatal("read:", err)
	}
	reset(t, st)
	checkWoken(t, own)
	checkCut(t, peer)
}

// resetWriter lets the peer write until it waits.
func resetWriter(t *testing.T, _ Pair, st, peer mux.Stream) {
	peer.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	await(t, "the peer's Write", writing(peer)) // the peer's window is full now
	peer.SetWriteDeadline(time.Time{})
	others := writing(peer)
	reset(t, st)
	if err := await(t, "the peer's Write", others); !errors.Is(err, mux.ErrReset) {
		t.Errorf("the peer's Write: error %v, want mux.ErrReset", err)
	}
	checkCut(t, peer)
}

// resetAfterCloseWrite cuts the peer's answer. The request that the peer has stays whole.
func resetAfterCloseWrite(t *testing.T, _ Pair, st, peer mux.Stream) {
	io.WriteString(st, "request")
	st.CloseWrite()
	if got, err := readAll(t, peer); string(got) != "request" || err != nil {
		t.Errorf("request: %q, %v", got, err)
	}
	others := writing(peer)
	if _, err := io.CopyN(io.Discard, st, 10); err != nil {
		t.Fatal("read:", err)
	}
	reset(t, st)
	if err := await(t, "the peer's Write", others); !errors.Is(err, mux.ErrReset) {
		t.Errorf("the peer's Write: error %v, want mux.ErrReset", err)
	}
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the peer's Read, after the end of a request: %d, %v, want io.EOF", n, err)
	}
}

// resetTail resets before the peer has read everything. The peer gets the rest, or an
// error.
func resetTail(t *testing.T, _ Pair, st, peer mux.Stream) {
	sent := bytes.Repeat([]byte("0123456789"), 10_000)
	if _, err := st.Write(sent); err != nil {
		t.Fatal("write:", err)
	}
	if _, err := io.CopyN(io.Discard, peer, 10); err != nil {
		t.Fatal("read:", err)
	}
	st.CloseWrite()
	reset(t, st)
	got, err := readAll(t, peer)
	if err == nil && len(got) != len(sent)-10 || err != nil && !errors.Is(err, mux.ErrReset) {
		t.Errorf("the peer reads %d of %d bytes, then %v", len(got), len(sent)-10, err)
	}
}

// resetAnswer cuts the answer to a request that has ended already.
func resetAnswer(t *testing.T, _ Pair, st, peer mux.Stream) {
	io.WriteString(peer, "request")
	peer.CloseWrite()
	if got, err := readAll(t, st); string(got) != "request" || err != nil {
		t.Errorf("request: %q, %v", got, err)
	}
	io.WriteString(st, "half of an answ")
	if _, err := io.ReadFull(peer, make([]byte, len("half of"))); err != nil {
		t.Fatal("read:", err)
	}
	reset(t, st)
	checkCut(t, peer)
}

// resetAfterClose expects a stream that was closed before the reset to arrive.
func resetAfterClose(t *testing.T, _ Pair, st, peer mux.Stream) {
	sent := bytes.Repeat([]byte("0123456789"), 20_000)
	if _, err := st.Write(sent); err != nil {
		t.Fatal("write:", err)
	}
	st.Close()
	reset(t, st)
	if got, err := readAll(t, peer); !bytes.Equal(got, sent) || err != nil {
		t.Errorf("after Close and Reset the peer reads %d of %d bytes, then %v", len(got), len(sent), err)
	}
}

// resetTwice resets from both ends at once, and closes later.
func resetTwice(t *testing.T, _ Pair, st, peer mux.Stream) {
	for _, again := range []<-chan error{start(st.Reset), start(st.Reset), start(st.Reset)} {
		if err := await(t, "Reset", again); err != nil {
			t.Error("Reset:", err)
		}
	}
	reset(t, st)
	if err := st.Close(); err != nil {
		t.Error("Close after Reset:", err)
	}
	checkCut(t, peer)
}

// reading starts a Read that nobody will answer; writing starts Writes without end.
func reading(st mux.Stream) <-chan error {
	return start(func() error { _, err := st.Read(make([]byte, 1)); return err })
}

func writing(st mux.Stream) <-chan error {
	return start(func() error {
		for buf := make([]byte, 64<<10); ; {
			if _, err := st.Write(buf); err != nil {
				return err
			}
		}
	})
}

// reset resets st, which must return at once.
func reset(t *testing.T, st mux.Stream) {
	t.Helper()
	if err := await(t, "Reset", start(st.Reset)); err != nil {
		t.Error("Reset:", err)
	}
}

// checkWoken checks the error of a call on a stream that this end has reset.
func checkWoken(t *testing.T, call <-chan error) {
	t.Helper()
	if err := await(t, "what Reset should wake", call); !errors.Is(err, net.ErrClosed) || errors.Is(err, mux.ErrReset) {
		t.Errorf("what Reset woke: error %v, want net.ErrClosed and not mux.ErrReset", err)
	}
}

// checkClosed expects st to be closed on this end.
func checkClosed(t *testing.T, st mux.Stream) {
	t.Helper()
	for what, call := range map[string]func() error{
		"Read":        func() error { _, err := st.Read(make([]byte, 1)); return err },
		"Write":       func() error { _, err := st.Write(make([]byte, 1)); return err },
		"CloseWrite":  st.CloseWrite,
		"SetDeadline": func() error { return st.SetDeadline(time.Now()) },
	} {
		if err := await(t, what, start(call)); !errors.Is(err, net.ErrClosed) || errors.Is(err, mux.ErrReset) {
			t.Errorf("%s after Reset: error %v, want net.ErrClosed and not mux.ErrReset", what, err)
		}
	}
}

// checkReset expects the peer of st to have reset it. What had arrived may be read.
func checkReset(t *testing.T, st mux.Stream) {
	t.Helper()
	checkCut(t, st)
	if err := await(t, "Write", writing(st)); !errors.Is(err, mux.ErrReset) {
		t.Errorf("Write after Reset by the peer: error %v, want mux.ErrReset", err)
	}
}

func checkCut(t *testing.T, st mux.Stream) {
	t.Helper()
	if n, err := readOut(t, st); !errors.Is(err, mux.ErrReset) || errors.Is(err, io.EOF) {
		t.Errorf("Read after Reset by the peer: %d bytes, then %v, want mux.ErrReset and not io.EOF", n, err)
	}
}
