package muxtest_test

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	. "github.com/backdial/backdial/mux/muxtest"
)

// A credited muxer without a fault keeps SteadyReaders, with a trick that no muxer can
// use between two processes: both ends of a session count in the same memory how much
// unread data a stream holds. Its streams are yamux's, with a receive buffer that is
// never full.
type credited struct {
	// sheds chooses a stream to be reset while the buffer is full, or none.
	sheds func([]*held) *held

	keepsClosed bool // what a closed stream held counts for ever
	unlimited   bool // the buffer is never full
}

func (credited) Name() string     { return "credited" }
func (credited) Protocol() string { return "credited.v1" }

func (m credited) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.session(sound.DialSide, conn, config)
}

func (m credited) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	return m.session(sound.ListenSide, conn, config)
}

// A ledger is what the streams of a connection hold at one end.
type ledger struct {
	muxer credited

	mu      sync.Mutex // guards below
	limit   int
	holds   int
	streams []*held // in the order in which they were opened
	now     time.Duration
	looked  time.Time // when now was last moved
}

// tickLocked moves the ledger's clock on. While it matters, somebody looks every few
// milliseconds. Looks that are further apart were kept from a processor, and so were readers, so
// that time does not count.
func (l *ledger) tickLocked() {
	now := time.Now()
	if !l.looked.IsZero() {
		l.now += min(now.Sub(l.looked), 2*pollEvery)
	}
	l.looked = now
}

// pollEvery is how often a Write looks for room.
const pollEvery = 5 * time.Millisecond

// A held is what a stream holds at one end.
type held struct {
	*ledger
	holds   int
	read    int           // bytes in all
	since   time.Duration // when it first held something
	readAt  time.Duration // when it was read for the last time
	over    bool
	closed  bool       // and still counts
	receive mux.Stream // the end that holds it, if it is accepted
}

// ledgers are those of all connections, by the address of the end that holds.
var ledgers = struct {
	sync.Mutex
	of map[string]*ledger
}{of: make(map[string]*ledger)}

func (m credited) ledger(addr net.Addr) *ledger {
	ledgers.Lock()
	defer ledgers.Unlock()
	l := ledgers.of[addr.String()]
	if l == nil {
		l = &ledger{muxer: m}
		ledgers.of[addr.String()] = l
	}
	return l
}

func (m credited) session(start start, conn net.Conn, config mux.Config) (mux.Session, error) {
	own, peers := m.ledger(conn.LocalAddr()), m.ledger(conn.RemoteAddr())
	own.mu.Lock()
	own.limit = config.WithDefaults().ReceiveBuffer
	own.mu.Unlock()
	config.ReceiveBuffer = 1 << 30
	s, err := start(conn, config)
	if err != nil {
		return nil, err
	}
	return &creditedSession{Session: s, own: own, peers: peers}, nil
}

type creditedSession struct {
	mux.Session
	own, peers *ledger

	mu sync.Mutex // guards below, and keeps streams in their order
	n  int
}

func (s *creditedSession) Open(ctx context.Context) (mux.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrapped(s.Session.Open(ctx))
}

func (s *creditedSession) Accept(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Accept(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrapped(st, err)
}

func (s *creditedSession) wrapped(st mux.Stream, err error) (mux.Stream, error) {
	if err != nil {
		return nil, err
	}
	s.n++
	in, out := s.own.stream(s.n), s.peers.stream(s.n)
	in.mu.Lock()
	in.receive = st
	in.mu.Unlock()
	return powered{&creditedStream{Stream: st, s: s, in: in, out: out}, st}, nil
}

// stream returns number n, which either end may ask for first.
func (l *ledger) stream(n int) *held {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.streams) < n {
		l.streams = append(l.streams, &held{ledger: l})
	}
	return l.streams[n-1]
}

type creditedStream struct {
	mux.Stream
	s       *creditedSession
	in, out *held

	writing sync.Mutex

	mu       sync.Mutex // guards below
	deadline time.Time
	closed   bool
}

func (st *creditedStream) SetDeadline(at time.Time) error {
	return errors.Join(st.SetReadDeadline(at), st.SetWriteDeadline(at))
}

func (st *creditedStream) SetWriteDeadline(at time.Time) error {
	st.mu.Lock()
	st.deadline = at
	st.mu.Unlock()
	return st.Stream.SetWriteDeadline(at)
}

func (st *creditedStream) Write(p []byte) (n int, err error) {
	st.writing.Lock()
	defer st.writing.Unlock()
	for len(p) > n {
		piece := p[n:min(len(p), n+16<<10)]
		if err := st.await(len(piece)); err != nil {
			return n, err
		}
		m, err := st.Stream.Write(piece)
		st.out.add(m - len(piece))
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// await waits until there is room for n bytes at the other end.
func (st *creditedStream) await(n int) error {
	for !st.out.take(n) {
		st.mu.Lock()
		deadline, closed := st.deadline, st.closed
		st.mu.Unlock()
		switch {
		case closed:
			return net.ErrClosed
		case st.s.Context().Err() != nil:
			return context.Cause(st.s.Context())
		case !deadline.IsZero() && time.Until(deadline) <= 0:
			return os.ErrDeadlineExceeded
		}
		<-time.After(pollEvery)
	}
	return nil
}

// take reports whether there is room, and sheds if there is none.
func (h *held) take(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tickLocked()
	if h.over || h.muxer.unlimited || h.ledger.holds+n <= h.limit {
		h.addLocked(n)
		return true
	}
	for h.muxer.sheds != nil {
		victim := h.muxer.sheds(h.streams)
		if victim == nil {
			break
		}
		victim.endLocked()
		go victim.receive.Reset()
		if h.ledger.holds <= h.limit*3/4 {
			break
		}
	}
	return false
}

func (h *held) add(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addLocked(n)
}

func (h *held) addLocked(n int) {
	if h.over {
		return
	}
	if h.holds == 0 {
		h.since = h.now
	}
	h.holds += n
	h.ledger.holds += n
}

func (st *creditedStream) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	st.in.mu.Lock()
	defer st.in.mu.Unlock()
	st.in.addLocked(-n)
	st.in.read += n
	if n > 0 {
		st.in.tickLocked()
		st.in.readAt = st.in.now
	}
	if err != nil && st.in.over && errors.Is(err, net.ErrClosed) {
		err = mux.ErrReset // by the muxer, not its user
	}
	return n, err
}

// endLocked gives up what h holds.
func (h *held) endLocked() {
	if !h.over {
		h.ledger.holds -= h.holds
		h.over, h.holds = true, 0
	}
}

func (st *creditedStream) Close() error { return st.end(st.Stream.Close) }
func (st *creditedStream) Reset() error { return st.end(st.Stream.Reset) }

func (st *creditedStream) end(how func() error) error {
	st.mu.Lock()
	st.closed = true
	st.mu.Unlock()
	st.in.mu.Lock()
	if st.in.closed = st.in.muxer.keepsClosed; !st.in.closed {
		st.in.endLocked()
	}
	st.in.mu.Unlock()
	return how()
}

// most returns the fullest stream that may be reset.
func most(streams []*held, may func(*held) bool) (most *held) {
	for _, h := range streams {
		if h.holds > 0 && !h.over && !h.closed && h.receive != nil && may(h) && (most == nil || h.holds > most.holds) {
			most = h
		}
	}
	return most
}

// abandoned sheds streams whose reader would not take what they hold within 10 s.
func abandoned(streams []*held) *held {
	return most(streams, func(h *held) bool {
		if h.read == 0 {
			return h.now-h.since > time.Second
		}
		pace := float64(h.read) / (h.now - h.since).Seconds()
		return h.now-h.since > time.Second && float64(h.holds)/pace > 10
	})
}

func fullest(streams []*held) *held {
	return most(streams, func(*held) bool { return true })
}

func slowest(streams []*held) (slowest *held) {
	most(streams, func(h *held) bool {
		if slowest == nil || cmp.Compare(h.read, slowest.read) < 0 {
			slowest = h
		}
		return true
	})
	return slowest
}

// notLatelyRead takes every reader that rests for a second for gone.
func notLatelyRead(streams []*held) *held {
	return most(streams, func(h *held) bool {
		return h.now-h.since > time.Second && h.now-h.readAt > time.Second
	})
}

// notReadAtAll takes every reader that has read something lately for steady.
func notReadAtAll(streams []*held) *held {
	return most(streams, func(h *held) bool {
		return h.read == 0 && h.now-h.since > 3*time.Second || h.read > 0 && h.now-h.readAt > 10*time.Second
	})
}

// stopped reads nothing from the carrier while its streams hold too much. So it gets no
// pings, and does not know that the peer is alive.
var stopped = faulty(func(sound start) start {
	return func(conn net.Conn, config mux.Config) (mux.Session, error) {
		c := &oneWindow{halfCloser: conn.(halfCloser), limit: config.WithDefaults().ReceiveBuffer}
		c.room.L = &c.mu
		config.ReceiveBuffer = 1 << 30
		return streams(func(_ mux.Session, st mux.Stream) mux.Stream { return windowed{st, c} })(sound)(c, config)
	}
})

var steadyFaults = []fault{{
	name:  "Steady", // without one
	muxer: credited{sheds: abandoned},
	only:  SteadyReaders,
}, {
	name:   "SteadyFullestIsReset",
	muxer:  credited{sheds: fullest},
	breaks: []Promise{SteadyReaders},
	only:   SteadyReaders + "/slow",
}, {
	name:   "SteadySlowestIsReset",
	muxer:  credited{sheds: slowest},
	breaks: []Promise{SteadyReaders},
	only:   SteadyReaders + "/slow",
}, {
	name:   "SteadyInBurstsIsReset",
	muxer:  credited{sheds: notLatelyRead},
	breaks: []Promise{SteadyReaders},
	only:   SteadyReaders + "/in_bursts",
}, {
	name:   "SteadyTrickleHoldsUp",
	muxer:  credited{sheds: notReadAtAll},
	breaks: []Promise{SteadyReaders},
	only:   SteadyReaders + "/trickle",
}, {
	name:   "SteadyNothingIsReset",
	muxer:  credited{},
	breaks: []Promise{SteadyReaders},
	only:   SteadyReaders + "/abandoned",
}, {
	name:   "SteadyGivenUpStays",
	muxer:  credited{sheds: abandoned, keepsClosed: true},
	breaks: []Promise{SteadyReaders},
	only:   SteadyReaders + "/given_up",
}, {
	name:   "SteadyMemoryUnlimited",
	fast:   true,
	muxer:  credited{unlimited: true},
	breaks: []Promise{SteadyReaders},
	only:   SteadyReaders + "/memory",
}, {
	name:   "SteadyStopsCarrier",
	muxer:  stopped,
	breaks: []Promise{SteadyReaders},
	only:   SteadyReaders + "/in_bursts",
}}
