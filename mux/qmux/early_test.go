package qmux

import (
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

// meetPipe starts a session whose peer is a puppet on a connection without buffers: the
// writer is busy until the puppet reads.
func meetPipe(t *testing.T, side side, config mux.Config) (*session, *puppet) {
	t.Helper()
	ours, theirs := net.Pipe()
	theirs.SetReadDeadline(time.Now().Add(patience))
	s := newSession(draft02, ours, side, config)
	t.Cleanup(func() { theirs.Close(); s.Close() })
	return s, &puppet{t, nil, theirs, newRecordReader(newRecordConn(theirs), func(int) {})}
}

// early is how much the peer of meetEarly takes at first.
const early = 100

// meetEarly writes 1000 bytes before the peer has said that it takes some of them. Those
// wait for the carrier, the others for credit.
func meetEarly(t *testing.T) (*stream, *puppet) {
	t.Helper()
	s, peer := meetPipe(t, dialSide, mux.Config{})
	until(t, "the parameters are being written", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return s.out.batch == nil
	})
	st := open(t, s)
	if _, err := st.Write(make([]byte, 1000)); err != nil {
		t.Fatal("write:", err)
	}
	p := greetings()
	p.initialMaxStreamDataBidiRemote = early
	peer.say(parametersFrame(p))
	until(t, "some of it waits for the carrier", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return st.sent == early
	})
	return st, peer
}

// TestEarlyBeforeFin ends a stream while some early data waits for credit: the end must
// come after it.
func TestEarlyBeforeFin(t *testing.T) {
	for name, end := range map[string]func(*stream) error{"CloseWrite": (*stream).CloseWrite, "Close": (*stream).Close} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			st, peer := meetEarly(t)
			ended := start(func() error { return end(st) })
			if f, _ := peer.hear(); f.typ != draft02.parameters {
				t.Fatalf("the first frame is %+v, want one of parameters", f)
			}
			peer.wants(frame{typ: frameStream, id: 1, length: early})
			go peer.say(encode(frame{typ: frameMaxStreamData, id: 1, max: 1 << 20}))
			rest := frame{typ: frameStream, id: 1, offset: early, length: 1000 - early}
			f, _ := peer.hear()
			if f.typ == frameMaxData {
				f, _ = peer.hear()
			}
			if rest.fin = f.fin; f != rest { // the end may come with it, if the user was late
				t.Errorf("frame %+v, want %+v", f, rest)
			}
			if !f.fin {
				peer.wants(frame{typ: frameStream, id: 1, offset: 1000, fin: true})
			}
			if err := await(t, name, ended); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEarlyIsGivenUp lets the peer, or the stream's user, give up a stream while some
// early data waits for credit, although this end has already ended it.
func TestEarlyIsGivenUp(t *testing.T) {
	const code = 7
	for name, giveUp := range map[string]func(*stream, *puppet){
		"STOP_SENDING": func(_ *stream, peer *puppet) {
			go peer.say(encode(frame{typ: frameStopSending, id: 1, code: code}))
		},
		"Reset": func(st *stream, _ *puppet) { st.ResetWithCode(code) },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			st, peer := meetEarly(t)
			ending := start(st.CloseWrite)
			until(t, "the end is to be said", func() bool {
				st.s.Mu.Lock()
				defer st.s.Mu.Unlock()
				return st.ended
			})
			if f, _ := peer.hear(); f.typ != draft02.parameters {
				t.Fatalf("the first frame is %+v, want one of parameters", f)
			}
			peer.wants(frame{typ: frameStream, id: 1, length: early})
			giveUp(st, peer)
			peer.wants(frame{typ: frameResetStream, id: 1, offset: early, code: code})
			await(t, "CloseWrite", ending)
			st.s.Mu.Lock()
			defer st.s.Mu.Unlock()
			if st.pending&pendingFin != 0 || st.s.unfinished != 0 {
				t.Error("the end is still to be said")
			}
		})
	}
}
