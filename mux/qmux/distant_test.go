package qmux

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// A distant peer does to streams what they tell it, and returns credit when half of a
// window has been used, as @moq/qmux does. What it sends takes a while to arrive. It
// works in a bubble, and reads until the session ends.
type distant struct {
	parameters
	forgets bool // it does not count what comes after it has stopped a stream
	greedy  bool // it never returns credit of the connection

	consumed uint64 // bytes of all streams
	maxData  uint64
	streams  map[uint64]*distantStream
	closed   *frame // CONNECTION_CLOSE, if the session has said it
	done     sync.WaitGroup
}

// A distantStream is the peer's end of a stream. The first byte says what to do to it.
type distantStream struct {
	what                      byte
	received, consumed, limit uint64
}

// What a distant peer does to a stream.
const (
	reads = 'r'
	holds = 'h' // what has arrived, without reading
	stops = 's' // it, when it begins
)

// latency is how long a distant peer's frames take to arrive.
const latency = 100 * time.Millisecond

// meetDistant starts a session with p, which begins with 1 MiB of credit, 256 KiB for
// each stream.
func meetDistant(t *testing.T, p *distant) *session {
	p.parameters = greetings()
	p.initialMaxData, p.initialMaxStreamDataBidiRemote = 1<<20, 256<<10
	p.maxData = p.initialMaxData
	p.streams = make(map[uint64]*distantStream)
	ours, theirs := net.Pipe()
	s := newSession(draft02, ours, dialSide, mux.Config{Linger: -1})
	peer := &puppet{t: t, w: theirs, r: newRecordReader(newRecordConn(theirs), func(int) {})}
	type saying struct {
		at     time.Time
		record []byte
	}
	says := make(chan saying, 1<<10)
	p.done.Go(func() {
		for said := range says {
			time.Sleep(time.Until(said.at))
			peer.say(said.record)
		}
	})
	say := func(frame []byte) { says <- saying{time.Now().Add(latency), frame} }
	say(parametersFrame(p.parameters))
	p.done.Go(func() {
		defer close(says)
		for {
			f, payload, err := peer.next()
			if err != nil {
				return
			}
			p.hear(f, payload, say)
		}
	})
	t.Cleanup(func() {
		s.Close()
		theirs.Close()
		p.done.Wait()
	})
	return s
}

func (p *distant) hear(f frame, payload []byte, say func([]byte)) {
	switch f.typ {
	case framePing:
		say(encode(frame{typ: framePong, seq: f.seq}))
	case frameClose:
		p.closed = &f
	case frameStream:
		if len(payload) > 0 {
			p.take(f.id, payload, say)
		}
	}
}

func (p *distant) take(id uint64, payload []byte, say func([]byte)) {
	n, st := uint64(len(payload)), p.streams[id]
	if st == nil {
		st = &distantStream{what: payload[0], limit: p.initialMaxStreamDataBidiRemote}
		p.streams[id] = st
		if st.what == stops {
			say(encode(frame{typ: frameStopSending, id: id, code: 7}))
		}
	}
	st.received += n
	if st.what == holds || st.what == stops && p.forgets {
		return
	}
	st.consumed += n
	p.consumed += n
	if window := p.initialMaxStreamDataBidiRemote; st.what == reads && st.limit-st.consumed <= window/2 {
		st.limit = st.consumed + window
		say(encode(frame{typ: frameMaxStreamData, id: id, max: st.limit}))
	}
	if window := p.initialMaxData; !p.greedy && p.maxData-p.consumed <= window/2 {
		p.maxData = p.consumed + window
		say(encode(frame{typ: frameMaxData, max: p.maxData}))
	}
}
