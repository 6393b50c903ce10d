package qmux

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// pair makes a session between two of ours.
func pair(t *testing.T, dial, listen mux.Config) (d, l *session) {
	t.Helper()
	a, b := testnet.Pair(t)
	d, l = newSession(draft02, a, dialSide, dial), newSession(draft02, b, listenSide, listen)
	t.Cleanup(func() {
		closing := start(d.Close)
		l.Close()
		await(t, "Close", closing)
	})
	return d, l
}

// TestResetWithCode expects either end to get the other's code.
func TestResetWithCode(t *testing.T) {
	leak.Check(t)
	d, l := pair(t, mux.Config{}, mux.Config{})
	check := func(st, peer *stream, code uint32) {
		t.Helper()
		reading := start(func() error { _, err := peer.Read(make([]byte, 1)); return err })
		if err := st.ResetWithCode(code); err != nil {
			t.Error("reset:", err)
		}
		wantReset(t, "Read", await(t, "Read", reading), uint64(code))
		until(t, "Write fails", func() bool { _, err := peer.Write([]byte("x")); return err != nil })
		_, err := peer.Write([]byte("x"))
		wantReset(t, "Write", err, uint64(code))
		peer.Close()
	}
	for _, code := range []uint32{0, 26, 1<<32 - 1} {
		st := open(t, d)
		check(st, accept(t, l), code)
		st = open(t, d)
		check(accept(t, l), st, code)
	}
	st := open(t, d)
	peer := accept(t, l)
	st.Reset()
	_, err := peer.Read(make([]byte, 1))
	wantReset(t, "Read after Reset", err, codeRefused)

	// Close is not Reset: the direction that it ends is complete.
	st = open(t, d)
	peer = accept(t, l)
	st.Close()
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read after Close: error %v, want io.EOF", err)
	}
	until(t, "Write fails", func() bool { _, err = peer.Write([]byte("x")); return err != nil })
	wantReset(t, "Write after Close", err, codeClosed)
	for _, s := range []*session{d, l} {
		until(t, "streams are forgotten", func() bool {
			s.Mu.Lock()
			defer s.Mu.Unlock()
			for _, st := range s.streams {
				if st.closed {
					return false
				}
			}
			return true
		})
	}
}

// TestStopSendingIsAnswered expects RESET_STREAM with the same code, after the data that
// had been promised room.
func TestStopSendingIsAnswered(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, dialSide, mux.Config{}, greetings())
	st := open(t, s)
	if _, err := st.Write([]byte("hello")); err != nil {
		t.Fatal("write:", err)
	}
	for f := (frame{}); f.length == 0; { // the stream may be announced before
		f, _ = peer.hear()
	}
	peer.say(encode(frame{typ: frameStopSending, id: 1, code: 33}))
	peer.wants(frame{typ: frameResetStream, id: 1, code: 33, offset: 5})
	_, err := st.Write([]byte("more"))
	wantReset(t, "Write", err, 33)
	peer.say(encode(frame{typ: frameStopSending, id: 1, code: 34}), fin(1, 0, []byte("the rest"))) // is ignored
	if got, err := io.ReadAll(st); string(got) != "the rest" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	st.Close()
	peer.say(encode(frame{typ: frameStopSending, id: 1, code: 35})) // for a stream that is over
	open(t, s)
	peer.wants(frame{typ: frameStream, id: 5})
	peer.conn.Close()
}

// TestStopSendingWakesWrite stops a Write that waits for the stream's credit, for the
// connection's, or for the carrier.
func TestStopSendingWakesWrite(t *testing.T) {
	for name, limits := range map[string]func(*parameters){
		"stream":     func(p *parameters) { p.initialMaxStreamDataBidiRemote = 10 },
		"connection": func(p *parameters) { p.initialMaxData = 10 },
		"carrier":    func(p *parameters) { p.initialMaxStreamDataBidiRemote = 1 << 40; p.initialMaxData = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			p := greetings()
			limits(&p)
			s, peer := meet(t, dialSide, mux.Config{}, p)
			st := open(t, s)
			var written uint64
			writing := start(func() error {
				for buf := make([]byte, 64<<10); ; {
					n, err := st.Write(buf)
					written += uint64(n)
					if err != nil {
						return err
					}
				}
			})
			until(t, "Write waits", func() bool {
				s.Mu.Lock()
				defer s.Mu.Unlock()
				return st.sent == 10 || s.writer.Stuck() > 0 && s.out.queuedLocked() > writeloop.LeastRoom/2
			})
			peer.say(encode(frame{typ: frameStopSending, id: 1, code: 55}))
			wantReset(t, "Write", await(t, "Write", writing), 55)
			received := uint64(0)
			for f := (frame{}); f.typ != frameResetStream; {
				if f, _ = peer.hear(); f.typ == frameStream {
					received += uint64(f.length)
				} else if f.offset != received || received != written {
					t.Errorf("%d bytes were written, and %d arrive with a final size of %d", written, received, f.offset)
				}
			}
			peer.conn.Close()
		})
	}
}

// TestCloseAsksToStop expects STOP_SENDING only for a peer that cannot notice otherwise,
// or goes on sending.
func TestCloseAsksToStop(t *testing.T) {
	const window = 256 << 10
	fill := func(peer *puppet, id uint64) {
		for offset := uint64(0); offset < window; offset += 16 << 10 {
			peer.say(streamFrame(id, offset, make([]byte, 16<<10)))
		}
	}
	leak.Check(t)
	s, peer := meet(t, listenSide, mux.Config{}, greetings())

	peer.say(streamFrame(1, 0, []byte("hi"))) // one that has finished when it hears of it
	st := accept(t, s)
	st.Close()
	peer.wants(frame{typ: frameStream, id: 1, fin: true})
	peer.say(fin(1, 2, []byte("bye")))

	fill(peer, 5) // one that waits
	st = accept(t, s)
	until(t, "all has arrived", func() bool { received, allowed, _ := st.progress(); return received == allowed })
	st.Close()
	peer.wants(frame{typ: frameStream, id: 5, fin: true})
	peer.wants(frame{typ: frameStopSending, id: 5, code: codeClosed})

	peer.say(streamFrame(9, 0, []byte("hi"))) // one that goes on
	st = accept(t, s)
	st.Close()
	peer.wants(frame{typ: frameStream, id: 9, fin: true})
	peer.say(streamFrame(9, 2, []byte("more")))
	peer.wants(frame{typ: frameStopSending, id: 9, code: codeClosed})
	peer.say(streamFrame(9, 6, []byte("and more"))) // is not told again
	peer.say(encode(frame{typ: frameResetStream, id: 9, offset: 14}))

	peer.say(streamFrame(13, 0, []byte("hi")))
	st = accept(t, s)
	st.ResetWithCode(7) // one that is given up
	peer.wants(frame{typ: frameResetStream, id: 13, code: 7})
	peer.wants(frame{typ: frameStopSending, id: 13, code: 7})
	if held := s.budget.Windows.Held.Load(); held != 0 {
		t.Errorf("streams that nobody reads hold %d bytes", held)
	}
	peer.conn.Close()
}

// TestZeroFinalSize uses a peer whose resets never have a final size.
func TestZeroFinalSize(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, listenSide, mux.Config{}, greetings())
	peer.say(streamFrame(1, 0, []byte("hi")), encode(frame{typ: frameResetStream, id: 1, code: 9}))
	_, err := io.ReadAll(accept(t, s))
	wantReset(t, "Read", err, 9)
	peer.conn.Close()
}

// TestUnknownPeer uses a peer without the extension: MAX_STREAMS must limit the streams
// that it opens, and none of them may be refused.
func TestUnknownPeer(t *testing.T) {
	leak.Check(t)
	s, peer := meetPuppet(t, listenSide, mux.Config{AcceptBacklog: 2, MaxStreams: 4})
	peer.say(parametersFrame(greetings()))
	f, payload := peer.hear()
	if p, err := draft02.parseParameters(payload); err != nil || p.initialMaxStreamsBidi != 2 || p.initialMaxStreamsUni != 0 {
		t.Fatalf("frame %+v with parameters %+v, %v, want 2 streams", f, p, err)
	}
	opened := uint64(0)
	next := func() {
		peer.say(streamFrame(dialSide.id(opened), 0, []byte("x")))
		opened++
	}
	maxStreams := func(max uint64) {
		t.Helper()
		peer.wants(frame{typ: frameMaxStreamsBidi, max: max})
	}
	next()
	next()
	first := accept(t, s)
	maxStreams(3)
	second := accept(t, s)
	maxStreams(4)
	next()
	next()
	accept(t, s)
	accept(t, s)
	// The limit is reached. A stream that is over makes room for another, and it is over
	// only when both ends have said so.
	first.Close()
	peer.wants(frame{typ: frameStream, id: 1, fin: true})
	second.Close()
	peer.wants(frame{typ: frameStream, id: 5, fin: true})
	peer.say(fin(5, 1, nil))
	maxStreams(5)
	peer.say(fin(1, 1, nil))
	maxStreams(6)
	if err := s.Send([]byte("anybody there?")); err == nil {
		t.Error("a message can be sent to a peer that has none")
	}
	next()
	next()
	next() // one too many
	peer.hearClose(streamLimitError)
	peer.conn.Close()
	wantViolation(t, cause(t, s), streamLimitError)
}

// TestResetMakesNoRoom uses a peer that resets streams that nobody accepts.
func TestResetMakesNoRoom(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, listenSide, mux.Config{AcceptBacklog: 8}, greetings())
	for i := range uint64(9) {
		id := dialSide.id(i)
		peer.say(encode(frame{typ: frameResetStream, id: id}), encode(frame{typ: frameStopSending, id: id}))
	}
	peer.hearClose(streamLimitError)
	peer.conn.Close()
	wantViolation(t, cause(t, s), streamLimitError)
	for range 8 { // which had arrived
		_, err := accept(t, s).Read(make([]byte, 1))
		wantReset(t, "Read", err, 0)
	}
}

// TestPeerLimits uses a peer that allows few streams, and does not report when it has
// accepted them.
func TestPeerLimits(t *testing.T) {
	leak.Check(t)
	p := greetings()
	p.initialMaxStreamsBidi = 2
	s, peer := meet(t, dialSide, mux.Config{}, p)
	open(t, s)
	open(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if st, err := s.Open(ctx); st != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third stream: %v, %v, want context.DeadlineExceeded", st, err)
	}
	opening := start(func() error { _, err := s.Open(t.Context()); return err })
	peer.say(encode(frame{typ: frameMaxStreamsBidi, max: 3}))
	if err := await(t, "Open", opening); err != nil {
		t.Error("open:", err)
	}
	for i := range uint64(3) { // in order, although nothing was written
		peer.wants(frame{typ: frameStream, id: dialSide.id(i)})
	}
	peer.conn.Close()
}

// TestEarly writes before the peer has sent its parameters.
func TestEarly(t *testing.T) {
	leak.Check(t)
	s, peer := meetPuppet(t, dialSide, mux.Config{})
	first, second, third := open(t, s), open(t, s), open(t, s)
	if _, err := first.Write([]byte("hello")); err != nil {
		t.Fatal("write:", err)
	}
	ending := start(first.CloseWrite)
	data := bytes.Repeat([]byte("0123456789"), 1000)
	writing := start(func() error { _, err := second.Write(data); return err })
	third.Reset()
	p := greetings()
	p.initialMaxStreamsBidi, p.initialMaxStreamDataBidiRemote = 2, 6000
	if f, _ := peer.hear(); f.typ != draft02.parameters {
		t.Fatalf("the first frame is %+v, want one of parameters", f)
	}
	until(t, "Write waits", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return first.ended && second.early != nil && len(*second.early) == maxEarly
	})
	peer.say(parametersFrame(p))

	var got [2][]byte
	for finished := false; !finished || len(got[1]) < 6000; {
		f, payload := peer.hear()
		if f.typ != frameStream || f.id > 5 || f.offset != uint64(len(got[f.id>>2])) || f.fin && f.id != 1 {
			t.Fatalf("frame %+v", f)
		}
		got[f.id>>2] = append(got[f.id>>2], payload...)
		finished = finished || f.fin
	}
	peer.say(encode(frame{typ: frameMaxStreamsBidi, max: 3}), encode(frame{typ: frameMaxStreamData, id: 5, max: 1 << 20}))
	for reset := false; !reset || len(got[1]) < len(data); {
		f, payload := peer.hear()
		switch {
		case f.typ == frameStream && f.id == 5:
			got[1] = append(got[1], payload...)
		case f.typ == frameResetStream && f.id == 9:
			reset = true
		case f.typ != frameStopSending || f.id != 9:
			t.Fatalf("frame %+v", f)
		}
	}
	if string(got[0]) != "hello" || !bytes.Equal(got[1], data) {
		t.Errorf("%q and %d bytes arrive", got[0], len(got[1]))
	}
	if err := await(t, "Write", writing); err != nil {
		t.Error("write:", err)
	}
	if err := await(t, "CloseWrite", ending); err != nil {
		t.Error("close write:", err)
	}
	peer.conn.Close()
}

// TestEarlyBeforeClose closes a session whose peer has not sent its parameters. What was
// written must arrive once it does.
func TestEarlyBeforeClose(t *testing.T) {
	leak.Check(t)
	s, peer := meetPuppet(t, dialSide, mux.Config{})
	st := open(t, s)
	st.Write([]byte("hello"))
	ending := start(st.Close)
	until(t, "Close of the stream has begun", func() bool { return s.Streams() == 0 })
	closing := start(s.Close)
	until(t, "Close has begun", func() bool { return s.Send(nil) != nil })
	peer.say(parametersFrame(greetings()))
	if f, _ := peer.hear(); f.typ != draft02.parameters {
		t.Fatalf("the first frame is %+v, want one of parameters", f)
	}
	f, payload := peer.hear()
	if string(payload) != "hello" {
		t.Errorf("frame %+v with %q", f, payload)
	}
	if !f.fin {
		peer.wants(frame{typ: frameStream, id: 1, offset: 5, fin: true})
	}
	peer.wants(frame{typ: frameCloseApplication})
	peer.conn.Close()
	await(t, "Close", closing)
	if err := await(t, "Close of the stream", ending); err != nil {
		t.Error("close of the stream:", err)
	}
}

// TestEarlyIsUnsent ends streams while the peer does not send its parameters.
func TestEarlyIsUnsent(t *testing.T) {
	leak.Check(t)
	const linger = 50 * time.Millisecond
	for name, end := range map[string]func(*stream) error{"CloseWrite": (*stream).CloseWrite, "Close": (*stream).Close} {
		s, peer := meetPuppet(t, dialSide, mux.Config{Linger: linger})
		st := open(t, s)
		st.Write([]byte("hello"))
		began := time.Now()
		if err := await(t, name, start(func() error { return end(st) })); !errors.Is(err, mux.ErrUnsent) {
			t.Errorf("%s: %v, want mux.ErrUnsent", name, err)
		}
		if took := time.Since(began); took < linger {
			t.Errorf("%s gives up after %v, want %v", name, took, linger)
		}
		peer.conn.Close()
	}
}

// TestClosedByPeer tells apart how sessions end.
func TestClosedByPeer(t *testing.T) {
	for _, test := range []struct {
		name      string
		says      []byte
		onPurpose bool
		code      uint64
	}{
		{"application", unhex(t, "1d 00 00"), true, 0},
		{"application with a reason", unhex(t, "1d 4063 03 627965"), true, 99},
		{"error", unhex(t, "1c 43ea 00 01 78"), false, 1002},
		{"nothing", []byte{0}, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			s, peer := meet(t, listenSide, mux.Config{}, greetings())
			peer.say(streamFrame(1, 0, []byte("half of")), fin(5, 0, []byte("all of it")))
			half, all := accept(t, s), accept(t, s)
			peer.say(test.says)
			peer.conn.CloseWrite()
			err := cause(t, s)
			if errors.Is(err, mux.ErrClosedByPeer) != test.onPurpose || !errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, mux.ErrProtocol) {
				t.Errorf("cause %v", err)
			}
			if e, ok := errors.AsType[*ConnectionError](err); test.code != 0 && (!ok || e.Code != test.code || !e.Remote || e.Application != test.onPurpose) {
				t.Errorf("cause %v, want the peer's code %d", err, test.code)
			}
			if got, err := io.ReadAll(half); string(got) != "half of" || !errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, io.EOF) {
				t.Errorf("read %q, %v, want what had arrived and mux.ErrSessionEnded", got, err)
			}
			if got, err := io.ReadAll(all); string(got) != "all of it" || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
			peer.conn.Close()
		})
	}
}

// TestMessageBeforeClose sends messages before the peer has sent its parameters, and
// right before the session is closed.
func TestMessageBeforeClose(t *testing.T) {
	leak.Check(t)
	s, peer := meetPuppet(t, dialSide, mux.Config{})
	if err := s.Send([]byte("why")); err != nil {
		t.Fatal(err)
	}
	closed := start(s.Close)
	until(t, "the session closes", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return s.StateLocked() == life.Closing
	})
	p := greetings()
	p.backlog = 1
	peer.say(parametersFrame(p))
	if f, _ := peer.hear(); f.typ != draft02.parameters {
		t.Errorf("frame %+v, want one of parameters", f)
	}
	f, message := peer.hear()
	for f.typ == frameMaxStreamsBidi {
		f, message = peer.hear()
	}
	if f.typ != frameMessage || string(message) != "why" {
		t.Errorf("frame %+v, %q, want the message", f, message)
	}
	if f, _ := peer.hear(); f.typ != frameLeaving { // so that it opens no stream in vain
		t.Errorf("frame %+v, want to hear of the end", f)
	}
	if f, _ := peer.hear(); f.typ != frameCloseApplication {
		t.Errorf("frame %+v, want the end", f)
	}
	peer.conn.Close()
	if err := await(t, "Close", closed); err != nil {
		t.Error(err)
	}
}

// TestCloseDuringLastFrame closes a stream in the middle of the frame that fills its
// window: the peer cannot notice by sending more.
func TestCloseDuringLastFrame(t *testing.T) {
	const window = 256 << 10
	leak.Check(t)
	s, peer := meet(t, listenSide, mux.Config{}, greetings())
	peer.say(streamFrame(1, 0, []byte("hi")))
	st := accept(t, s)
	sent := uint64(2)
	for ; sent < window-60_000; sent += 10_000 {
		peer.say(streamFrame(1, sent, make([]byte, 10_000)))
	}
	last := streamFrame(1, sent, make([]byte, window-sent))
	peer.write(appendVarint(nil, uint64(len(last))))
	most := len(last) - 100
	peer.write(last[:most])
	until(t, "most of the frame has arrived", func() bool {
		received, _, _ := st.progress()
		return received == window-100
	})
	st.Close()
	peer.wants(frame{typ: frameStream, id: 1, fin: true})
	peer.write(last[most:])
	peer.wants(frame{typ: frameStopSending, id: 1, code: codeClosed})
	peer.conn.Close()
}
