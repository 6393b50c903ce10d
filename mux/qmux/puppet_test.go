package qmux

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// A puppet is a peer whose every byte the test decides.
type puppet struct {
	t    *testing.T
	conn *net.TCPConn // nil in a bubble
	w    io.Writer
	r    *recordReader
}

// meetPuppet starts a session whose peer is a puppet.
func meetPuppet(t *testing.T, side side, config mux.Config) (*session, *puppet) {
	t.Helper()
	ours, theirs := testnet.Pair(t)
	theirs.SetReadDeadline(time.Now().Add(patience))
	s := begin(t, ours, side, config)
	t.Cleanup(func() { s.Close() })
	return s, &puppet{t, theirs, theirs, newRecordReader(newRecordConn(theirs), func(int) {})}
}

// begin starts a session.
func begin(t *testing.T, conn net.Conn, side side, config mux.Config) *session {
	t.Helper()
	s, err := muxer{draft02}.start(conn, side, config)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*session)
}

// greetings are the parameters of a generous peer. It knows the extension only if a test
// says so.
func greetings() parameters {
	return parameters{
		initialMaxData:                 1 << 30,
		initialMaxStreamDataBidiLocal:  1 << 20,
		initialMaxStreamDataBidiRemote: 1 << 20,
		initialMaxStreamsBidi:          1 << 10,
		maxRecordSize:                  minRecordSize,
	}
}

// parametersFrame returns the frame that says p.
func parametersFrame(p parameters) []byte {
	value := p.append(nil)
	f := frame{typ: draft02.parameters, length: len(value)}
	return append(f.append(nil), value...)
}

// meet is meetPuppet plus the first frames of both.
func meet(t *testing.T, side side, config mux.Config, p parameters) (*session, *puppet) {
	t.Helper()
	s, peer := meetPuppet(t, side, config)
	peer.say(parametersFrame(p))
	if f, _ := peer.hear(); f.typ != draft02.parameters {
		t.Fatalf("the first frame is %+v, want one of parameters", f)
	}
	until(t, "the session knows its peer", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return s.peer != nil || s.ErrLocked() != nil
	})
	return s, peer
}

// say sends frames as one record.
func (p *puppet) say(frames ...[]byte) {
	p.t.Helper()
	record := slices.Concat(frames...)
	p.write(append(appendVarint(nil, uint64(len(record))), record...))
}

// write sends bytes. Other checks notice if they are not taken.
func (p *puppet) write(b []byte) { p.w.Write(b) }

// streamFrame returns a STREAM frame with an offset and a length.
func streamFrame(id, offset uint64, data []byte) []byte {
	f := frame{typ: frameStream, id: id, offset: offset, length: len(data)}
	return append(f.append(nil), data...)
}

// fin is streamFrame for the last frame.
func fin(id, offset uint64, data []byte) []byte {
	b := streamFrame(id, offset, data)
	b[0] |= byte(bitFin)
	return b
}

func encode(f frame) []byte { return f.append(nil) }

// next returns the next frame of the session, or how its output has ended.
func (p *puppet) next() (f frame, payload []byte, err error) {
	for p.r.left == 0 {
		if err := p.r.next(); err != nil {
			return f, nil, err
		}
	}
	header, err := p.r.peek(maxHeader)
	if err != nil {
		return f, nil, err
	}
	f, n, err := draft02.parseFrame(header, p.r.left)
	if err != nil {
		return f, nil, err
	}
	p.r.skip(n)
	payload = make([]byte, f.length)
	_, err = io.ReadFull(p.r, payload)
	return f, payload, err
}

// hear returns the next frame that is not a ping.
func (p *puppet) hear() (frame, []byte) {
	p.t.Helper()
	for {
		f, payload, err := p.next()
		if err != nil {
			p.t.Fatal("the session ends what it sends:", err)
		}
		if f.typ != framePing {
			return f, payload
		}
	}
}

// wants expects frame to be the next, apart from credit of the connection.
func (p *puppet) wants(want frame) {
	p.t.Helper()
	got, _ := p.hear()
	for got.typ == frameMaxData && want.typ != frameMaxData {
		got, _ = p.hear()
	}
	if got != want {
		p.t.Errorf("frame %+v, want %+v", got, want)
	}
}

// hearClose expects CONNECTION_CLOSE with a transport error, and nothing after it.
func (p *puppet) hearClose(code uint64) {
	p.t.Helper()
	for {
		f, _, err := p.next()
		if err != nil {
			p.t.Errorf("the session ends what it sends without CONNECTION_CLOSE: %v", err)
			return
		}
		if f.typ != frameClose {
			continue
		}
		if f.code != code {
			p.t.Errorf("CONNECTION_CLOSE with %s, want %s", codeNames[f.code], codeNames[code])
		}
		if f, _, err := p.next(); err != io.EOF {
			p.t.Errorf("after CONNECTION_CLOSE: frame %+v, %v, want io.EOF", f, err)
		}
		return
	}
}

// cause returns why s has ended, which must happen soon.
func cause(t *testing.T, s *session) error {
	t.Helper()
	select {
	case <-s.Context().Done():
		return context.Cause(s.Context())
	case <-time.After(patience):
		t.Fatalf("the session has not ended after %v", patience)
		return nil
	}
}

func open(t *testing.T, s *session) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	st, err := s.Open(ctx)
	if err != nil {
		t.Fatal("open:", err)
	}
	return st.(*stream)
}

func accept(t *testing.T, s *session) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	st, err := s.Accept(ctx)
	if err != nil {
		t.Fatal("accept:", err)
	}
	return st.(*stream)
}

// start runs f in the background, and returns a channel for its error.
func start(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

func await(t *testing.T, what string, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(patience):
		t.Fatalf("%s blocks for more than %v", what, patience)
		return nil
	}
}

// wantReset expects the peer's code in err.
func wantReset(t *testing.T, what string, err error, code uint64) {
	t.Helper()
	e, ok := errors.AsType[*mux.ResetError](err)
	if !ok || e.Code != code || !errors.Is(err, mux.ErrReset) {
		t.Errorf("%s: error %v, want code %d and mux.ErrReset", what, err, code)
	}
}

// until waits until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}
