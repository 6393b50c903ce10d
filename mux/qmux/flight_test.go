package qmux

import (
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

// underWay is how much of a stream that the session opens is on its way to the peer.
func underWay(s *session) (n uint64) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for _, st := range s.flight.streams {
		n += st.sent - st.flown.arrived
	}
	return n
}

// TestFlight uses a peer that answers only when told to: no more than the allowed share
// of a stream may be on its way, and the rest must follow when that has arrived.
func TestFlight(t *testing.T) {
	for _, test := range []struct {
		name           string
		window, stream uint64 // what the peer allows
		most           int    // that may leave
	}{
		{"default of @moq/qmux", 1 << 20, 256 << 10, 128 << 10},
		{"large window", 4 << 20, 256 << 10, 256 << 10},
		{"small window", 64 << 10, 64 << 10, minFlight},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			p := greetings()
			p.initialMaxData, p.initialMaxStreamDataBidiRemote = test.window, test.stream
			s, peer := meet(t, dialSide, mux.Config{}, p)
			st := open(t, s)
			writing := start(func() error { _, err := st.Write(make([]byte, 1<<20)); return err })
			received := 0
			for received <= test.most-minPayload {
				f, _ := peer.hear()
				received += f.length
			}
			if n := underWay(s); n > uint64(test.most) || received > test.most {
				t.Errorf("%d bytes are under way, of which %d have arrived, want %d at most", n, received, test.most)
			}
			if int(test.stream) > test.most { // an answer makes room
				peer.say(encode(frame{typ: framePong, seq: 1})) // the first ping left before
				for more := false; !more; {
					f, _, err := peer.next()
					if err != nil {
						t.Fatal("no more data: ", err)
					}
					if more = f.length > 0; f.typ == framePing {
						peer.say(encode(frame{typ: framePong, seq: f.seq}))
					}
				}
			}
			peer.conn.Close()
			await(t, "Write", writing)
		})
	}
}

// TestLostAfterTheEnd makes the peer stop a stream that this end has finished and
// forgotten: what is on its way may still be lost.
func TestLostAfterTheEnd(t *testing.T) {
	leak.Check(t)
	p := greetings()
	p.initialMaxData = 1 << 20
	s, peer := meet(t, dialSide, mux.Config{}, p)
	st := open(t, s)
	const size = 100 << 10
	if _, err := st.Write(make([]byte, size)); err != nil {
		t.Fatal("write:", err)
	}
	st.Close()
	received := 0
	for f := (frame{}); !f.fin; received += f.length {
		f, _ = peer.hear()
	}
	stop := encode(frame{typ: frameStopSending, id: 1})
	peer.say(fin(1, 0, nil))
	until(t, "the stream is forgotten", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return s.streams[1] == nil
	})
	peer.say(stop, stop)
	until(t, "it may be lost", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return s.flight.lost == size
	})
	peer.conn.Close()
}

// TestAsksAgain lets answers come while there is more that has not been asked for.
func TestAsksAgain(t *testing.T) {
	var s session
	s.Init(name, protocol{&s}, mux.Config{})
	s.writer.Mute() // what is noted stays so
	st := &stream{s: &s, sent: 100, flown: &flown{flies: true}}
	st.writable.L = &s.Mu
	s.flight = flight{window: 1 << 20, streams: []*stream{st}}
	for _, arrived := range []uint64{40, 100} {
		s.control.ping = false
		st.flown.asked = arrived
		s.answeredLocked()
		if more := arrived < st.sent; st.flown.arrived != arrived || st.flown.flies != more || s.control.ping != more {
			t.Errorf("%d have arrived of %d, want %d; asked again: %v", st.flown.arrived, st.sent, arrived, s.control.ping)
		}
	}
}

// TestCredited lets credit come: what it includes is not lost.
func TestCredited(t *testing.T) {
	for _, test := range []struct{ lost, credit, want uint64 }{
		{800, 0, 800}, {800, 200, 800}, {800, 600, 400}, {800, 1000, 0}, {800, 2000, 0}, {0, 600, 0},
	} {
		var s session
		s.flight = flight{window: 1000, lost: test.lost}
		s.out.sent, s.out.maxData = 5000, 5000+test.credit
		s.creditedLocked()
		if s.flight.lost != test.want {
			t.Errorf("lost %d and credit %d: %d are taken for lost, want %d", test.lost, test.credit, s.flight.lost, test.want)
		}
	}
}

// TestFlightIsForgotten writes and closes many small streams. The session must forget
// them after the peer's answers.
func TestFlightIsForgotten(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, dialSide, mux.Config{}, greetings())
	answering := start(func() error {
		for {
			f, _, err := peer.next()
			switch {
			case err != nil:
				return nil
			case f.typ == framePing:
				peer.say(encode(frame{typ: framePong, seq: f.seq}))
			case f.fin:
				peer.say(fin(f.id, 0, nil))
			}
		}
	})
	for range 1000 {
		st := open(t, s)
		if _, err := st.Write([]byte("hello")); err != nil {
			t.Fatal("write:", err)
		}
		st.Close()
	}
	until(t, "few are remembered", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return len(s.flight.streams) < maxUnasked
	})
	peer.conn.Close()
	await(t, "what the session says", answering)
}

// TestUnanswered is TestFlightIsForgotten with a peer that does not answer.
func TestUnanswered(t *testing.T) {
	leak.Check(t)
	p := greetings()
	p.initialMaxStreamsBidi = 1 << 20
	s, peer := meet(t, dialSide, mux.Config{}, p)
	listening := start(func() error {
		for {
			f, _, err := peer.next()
			switch {
			case err != nil:
				return nil
			case f.fin:
				peer.say(fin(f.id, 0, nil))
			}
		}
	})
	for range 5 * maxUnanswered {
		st := open(t, s)
		if _, err := st.Write([]byte("hello")); err != nil {
			t.Fatal("write:", err)
		}
		st.Close()
		until(t, "few streams are in use", func() bool {
			s.Mu.Lock()
			defer s.Mu.Unlock()
			return len(s.streams) < 100
		})
	}
	s.Mu.Lock()
	if n := len(s.flight.streams); n > maxUnanswered+100 {
		t.Errorf("%d streams are remembered", n)
	}
	s.Mu.Unlock()
	peer.conn.Close()
	await(t, "what the session says", listening)
}
