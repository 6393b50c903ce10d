package nativemux

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/backdial/backdial/mux"
)

// A creditModel is a sender's account of its streams, and a receiver that knows
// everything that ever happened to them. What one end says arrives at the other in order,
// and late.
type creditModel struct {
	t        *testing.T
	outflows outflows
	window   uint64
	streams  []*modelStream
	read     uint64   // by the receiver, of all streams
	said     []func() // by the receiver, and has not arrived
}

type modelStream struct {
	id      uint64
	out     *outflow
	taken   int    // credit of a Write that has not returned
	waits   bool   // or its Write waits
	sent    uint64 // bytes that are on their way, or arrived
	read    uint64 // by the receiver
	dropped bool   // by the receiver, who has said so
}

func newCreditModel(t *testing.T, window uint64) *creditModel {
	m := &creditModel{t: t, window: window}
	m.sayCredit()
	m.arrive()
	return m
}

// sayCredit lets the receiver say what the session would say.
func (m *creditModel) sayCredit() {
	limit := m.read + m.window
	var reads []readSize
	for _, st := range m.streams {
		if !st.dropped && st.read > 0 {
			reads = append(reads, readSize{st.id, st.read})
		}
	}
	m.said = append(m.said, func() {
		m.sound(m.outflows.raise(limit))
		for _, r := range reads {
			m.sound(m.outflows.hasRead(r.id, r.read))
		}
		m.outflows.grantReturned(true)
	})
}

func (m *creditModel) sound(err error) {
	if err != nil {
		m.t.Fatal("a sound receiver is taken for another:", err)
	}
}

// arrive lets the sender hear the receiver's next message.
func (m *creditModel) arrive() {
	if len(m.said) > 0 {
		m.said[0]()
		m.said = m.said[1:]
	}
}

func (m *creditModel) open() {
	id := uint64(len(m.streams))
	out, _ := m.outflows.add(id)
	m.streams = append(m.streams, &modelStream{id: id, out: out})
}

func (m *creditModel) write(st *modelStream, n int) {
	switch {
	case st.taken > 0:
	case st.waits:
		if st.taken = m.outflows.granted(st.out); st.taken > 0 {
			st.waits = false
		}
	default:
		if st.taken, _ = m.outflows.take(st.out, n); st.taken == 0 && n > 0 {
			st.waits = true
		}
	}
}

// giveUp ends a Write after n bytes.
func (m *creditModel) giveUp(st *modelStream, n int) {
	if st.waits {
		m.outflows.cancel(st.out)
		st.waits = false
	}
	n = min(n, st.taken)
	st.sent += uint64(n)
	m.outflows.giveBack(st.out, st.taken-n)
	st.taken = 0
}

func (m *creditModel) readSome(st *modelStream, n uint64) {
	if !st.dropped {
		n = min(n, st.sent-st.read)
		st.read += n
		m.read += n
	}
}

// drop makes the receiver end a stream, read or not.
func (m *creditModel) drop(st *modelStream) {
	if st.dropped {
		return
	}
	st.dropped = true
	id, read := st.id, st.read
	m.said = append(m.said, func() {
		m.sound(m.outflows.hasEnded(id, read))
		m.outflows.grantReturned(false)
	})
}

// check expects used to be what was sent and not returned, and the receiver to hold no
// more than it allowed.
func (m *creditModel) check() {
	m.t.Helper()
	f := &m.outflows
	var used, unread uint64
	for _, st := range m.streams {
		switch _, live := f.streams[st.id]; {
		case live:
			used += st.sent + uint64(st.taken) + uint64(st.out.given)
		default:
			used += st.read
		}
		if !st.dropped {
			unread += st.sent - st.read
		}
	}
	if f.used != used {
		m.t.Fatalf("%d bytes are used, and %d are charged", used, f.used)
	}
	if unread > m.window {
		m.t.Fatalf("%d bytes are unread, want %d at most", unread, m.window)
	}
}

// drain makes the receiver read and say everything, until every Write has all it wants.
func (m *creditModel) drain() {
	for range 1 << 10 {
		for len(m.said) > 0 {
			m.arrive()
		}
		idle := true
		for _, st := range m.streams {
			if st.waits || st.taken > 0 {
				idle = false
			}
			m.write(st, 0)
			m.send(st)
			m.readSome(st, 1<<40)
		}
		m.sayCredit()
		m.check()
		if idle && len(m.outflows.waiting) == 0 {
			break
		}
	}
	for len(m.said) > 0 {
		m.arrive()
	}
	if n := len(m.outflows.waiting); n > 0 {
		m.t.Fatalf("%d Writes wait for ever", n)
	}
	for _, st := range m.streams {
		m.drop(st)
	}
	for len(m.said) > 0 {
		m.arrive()
	}
	m.check()
	if f := &m.outflows; f.limit-f.used != m.window || len(f.streams) > 0 {
		m.t.Fatalf("in the end there is credit for %d bytes, want %d, and %d streams", f.limit-f.used, m.window, len(f.streams))
	}
}

// send makes a Write send what it has taken.
func (m *creditModel) send(st *modelStream) {
	if st.taken > 0 {
		st.sent += uint64(st.taken)
		st.taken = 0
	}
}

func (m *creditModel) do(action, which byte, size uint16) {
	if action%8 == 0 || len(m.streams) == 0 {
		m.open()
		return
	}
	st := m.streams[int(which)%len(m.streams)]
	switch action % 8 {
	case 1:
		m.write(st, int(size)*2)
	case 2:
		m.giveUp(st, int(size))
	case 3:
		m.send(st)
	case 4:
		m.readSome(st, uint64(size)*4)
	case 5:
		m.drop(st)
	case 6:
		m.sayCredit()
	case 7:
		m.arrive()
	}
}

// FuzzCredit opens, writes, gives up, reads and drops streams in any order, while
// messages are on their way: credit must be neither lost nor created.
func FuzzCredit(f *testing.F) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := make([]byte, 4000)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(uint32(64<<10+seed*100_000), b)
	}
	f.Fuzz(func(t *testing.T, window uint32, does []byte) {
		m := newCreditModel(t, uint64(max(window, chunk)))
		for ; len(does) >= 4; does = does[4:] {
			m.do(does[0], does[1], uint16(does[2])<<8|uint16(does[3]))
			m.check()
		}
		m.drain()
	})
}

// TestFalseCredit uses a peer that says impossible things.
func TestFalseCredit(t *testing.T) {
	sent := func(f *outflows) {
		o, _ := f.add(4)
		f.take(o, 100)
	}
	for name, say := range map[string]func(f *outflows) error{
		"less than before":         func(f *outflows) error { f.raise(10); return f.raise(9) },
		"of an unknown stream":     func(f *outflows) error { return f.hasRead(8, 1) },
		"more than was sent":       func(f *outflows) error { return f.hasRead(4, 101) },
		"less than it had read":    func(f *outflows) error { f.hasRead(4, 50); return f.hasRead(4, 49) },
		"ended beyond its end":     func(f *outflows) error { return f.hasEnded(4, 101) },
		"ended twice":              func(f *outflows) error { f.hasEnded(4, 100); return f.hasEnded(4, 100) },
		"ended what was not there": func(f *outflows) error { return f.hasEnded(8, 1) },
		"read what it has ended":   func(f *outflows) error { f.hasEnded(4, 100); return f.hasRead(4, 100) },
		"credit without saying so": func(f *outflows) error { f.turnOff(); return f.raise(100) },
	} {
		var f outflows
		sent(&f)
		if err := say(&f); !errors.Is(err, mux.ErrProtocol) {
			t.Errorf("%s: error %v, want mux.ErrProtocol", name, err)
		}
	}
}
