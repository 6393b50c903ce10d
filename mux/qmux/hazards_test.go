package qmux

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/chaff"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestPeerThatDoesNotRead provokes answers of all kinds and takes none. The session must
// go on reading, and what waits for the peer must not grow.
func TestPeerThatDoesNotRead(t *testing.T) {
	leak.Check(t)
	p := greetings()
	p.initialMaxStreamDataBidiLocal = 1 << 40
	p.initialMaxData = 1 << 40
	p.backlog = 1
	s, peer := meet(t, listenSide, mux.Config{AcceptBacklog: 2}, p)
	peer.say(streamFrame(1, 0, []byte("x")))
	st := accept(t, s)
	writing := start(func() error { // until the carrier takes no more
		for buf := make([]byte, 64<<10); ; {
			if _, err := st.Write(buf); err != nil {
				return err
			}
		}
	})
	before := heap()
	provoked := make(chan error, 1)
	go func() {
		offset := uint64(1)
		for i := uint64(1); i <= 20_000; i++ {
			id := dialSide.id(2 + i)
			if i > 300 {
				id = 1
			}
			frames := [][]byte{encode(frame{typ: framePing, seq: i}), streamFrame(1, offset, []byte("x"))}
			if id != 1 { // streams that are refused
				frames = append(frames, streamFrame(id, 0, []byte("x")), encode(frame{typ: frameMaxStreamData, id: id, max: 1 << 40}))
			}
			peer.say(frames...)
			offset++
		}
		provoked <- nil
	}()
	if err := await(t, "what the peer says", provoked); err != nil {
		t.Error(err)
	}
	until(t, "all of it is heard", func() bool {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return s.control.pongSeq == 20_000
	})
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	s.Mu.Lock()
	if queued := s.out.queuedLocked(); queued > maxBatch+writeloop.MostRoom {
		t.Errorf("%d bytes are queued", queued)
	}
	s.Mu.Unlock()
	peer.conn.Close()
	await(t, "Write", writing)
}

// TestRapidReset uses a peer that knows the extension. It opens and resets streams as
// fast as it may, and nobody accepts them.
func TestRapidReset(t *testing.T) {
	leak.Check(t)
	p := greetings()
	p.backlog = 1
	s, peer := meet(t, listenSide, mux.Config{AcceptBacklog: 8, MaxStreams: 16}, p)
	const most = 16 + 8 + maxRefused // at a time
	var maxStreams atomic.Uint64
	maxStreams.Store(8)
	refused := start(func() error { // until the connection is closed
		for refused := 0; ; {
			f, _, err := peer.next()
			switch {
			case err != nil && refused == 0:
				return err
			case err != nil:
				return nil
			case f.typ == frameMaxStreamsBidi:
				maxStreams.Store(f.max)
			case f.typ == frameResetStream:
				refused++
			}
		}
	})
	before := heap()
	for index := range uint64(5000) {
		until(t, "another stream is allowed", func() bool { return index < maxStreams.Load() || s.Context().Err() != nil })
		id := dialSide.id(index)
		peer.say(streamFrame(id, 0, []byte("x")), encode(frame{typ: frameResetStream, id: id, offset: 1}), encode(frame{typ: frameStopSending, id: id}))
		if index%100 == 0 {
			s.Mu.Lock()
			_, waiting := s.FromPeerLocked()
			if n := len(s.streams); n > most || waiting > 8 {
				t.Errorf("%d streams are known, and %d wait to be accepted", n, waiting)
			}
			s.Mu.Unlock()
		}
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	if err := context.Cause(s.Context()); err != nil {
		t.Error("the session has ended:", err)
	}
	peer.conn.Close()
	if err := await(t, "what the session says", refused); err != nil {
		t.Error("none was refused:", err)
	}
}

// TestBothWrite makes two ends fill every buffer between them at the same time, while
// they ping each other and open streams.
func TestBothWrite(t *testing.T) {
	leak.Check(t)
	d, l := pair(t, mux.Config{}, mux.Config{})
	const size = 32 << 20
	data := make([]byte, 1<<20)
	var moving []<-chan error
	for range 2 {
		st := open(t, d)
		for _, end := range []*stream{st, accept(t, l)} {
			moving = append(moving, start(func() error {
				for range size / len(data) {
					if _, err := end.Write(data); err != nil {
						return err
					}
				}
				return end.CloseWrite()
			}), start(func() error {
				n, err := io.Copy(io.Discard, end)
				if err == nil && n != size {
					err = io.ErrUnexpectedEOF
				}
				return err
			}))
		}
	}
	for _, s := range []*session{d, l} {
		moving = append(moving, start(func() error {
			for range 100 {
				if err := s.Ping(t.Context()); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for _, c := range moving {
		if err := await(t, "a transfer", c); err != nil {
			t.Error(err)
		}
	}
}

// TestChaff floods a session with frames that say nothing.
func TestChaff(t *testing.T) {
	ping := uint64(0)
	alone := func(f frame) []byte { // in a record
		b := encode(f)
		return append([]byte{byte(len(b))}, b...)
	}
	for name, next := range map[string]func() []byte{
		"empty records":       func() []byte { return []byte{0} },
		"PADDING":             func() []byte { return []byte{1, 0} },
		"empty STREAM frames": func() []byte { return append([]byte{3}, streamFrame(1, 0, nil)...) },
		"blocked":             func() []byte { return []byte{2, byte(frameDataBlocked), 1} },
		"limits":              func() []byte { return []byte{2, byte(frameMaxData), 1} },
		"pings": func() []byte {
			ping++
			return alone(frame{typ: framePing, seq: ping})
		},
		"leaving":  func() []byte { return alone(frame{typ: frameLeaving}) },
		"accepted": func() []byte { return alone(frame{typ: frameAccepted}) },
		"resets":   func() []byte { return alone(frame{typ: frameResetStream, id: 5}) },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			p := greetings()
			p.backlog = 256 // it has the extension
			s, peer := meet(t, listenSide, mux.Config{}, p)
			peer.say(streamFrame(1, 0, nil))
			go io.Copy(io.Discard, peer.conn) // ends with the connection
			var flood bytes.Buffer
			for range 3 * chaff.Max {
				flood.Write(next())
			}
			before := heap()
			peer.write(flood.Bytes())
			peer.conn.CloseWrite()
			if err := cause(t, s); !errors.Is(err, mux.ErrProtocol) {
				t.Errorf("cause %v, want mux.ErrProtocol", err)
			}
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("the heap has grown by %d KiB", grown>>10)
			}
			peer.conn.Close()
		})
	}
}

// TestImplicitStreams uses the last allowed stream first. That opens those before it,
// which must cost nothing, and still be usable.
func TestImplicitStreams(t *testing.T) {
	leak.Check(t)
	const limit = 256
	s, peer := meet(t, listenSide, mux.Config{}, greetings())
	say := func(index uint64) { peer.say(fin(dialSide.id(index), 0, []byte{byte(index)})) }
	for _, index := range []uint64{limit - 1, 0, 100, 101, limit - 2, 99} {
		say(index)
		st := accept(t, s)
		if got, err := io.ReadAll(st); len(got) != 1 || got[0] != byte(index) || err != nil {
			t.Errorf("stream %d: read %d, %v", index, got, err)
		}
		st.Close()
	}
	s.Mu.Lock()
	holes := slices.Clone(s.incoming.arrived.holes)
	s.Mu.Unlock()
	if want := []span{{1, 99}, {102, limit - 2}}; !slices.Equal(holes, want) {
		t.Errorf("streams that have not been heard of: %v, want %v", holes, want)
	}
	peer.conn.Close()
}

// TestArrived adds streams in any order, and again.
func TestArrived(t *testing.T) {
	const n = 200
	for seed := range uint64(50) {
		var a indexSet
		order := rand.New(rand.NewPCG(seed, 0)).Perm(n)
		for i, index := range order {
			if !a.add(uint64(index)) {
				t.Fatalf("%d after %v is no news", index, order[:i])
			}
			for _, before := range order[:i+1] {
				if a.add(uint64(before)) {
					t.Fatalf("%d after %v is news", before, order[:i+1])
				}
			}
		}
		if len(a.holes) != 0 || a.next != n {
			t.Errorf("in the end: %+v", a)
		}
	}
}

// TestRecordSizes exchanges records of exactly the limit, both ways.
func TestRecordSizes(t *testing.T) {
	t.Run("received", func(t *testing.T) {
		leak.Check(t)
		s, peer := meet(t, listenSide, mux.Config{}, greetings())
		overhead := len(streamFrame(1, 0, make([]byte, maxRecordSize-10))) - (maxRecordSize - 10)
		peer.say(streamFrame(1, 0, make([]byte, maxRecordSize-overhead)))
		if n, err := io.CopyN(io.Discard, accept(t, s), int64(maxRecordSize-overhead)); err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		peer.say(streamFrame(5, 0, make([]byte, maxRecordSize-overhead+1)))
		peer.hearClose(frameEncodingError)
		peer.conn.Close()
		wantViolation(t, cause(t, s), frameEncodingError)
	})
	for _, limit := range []uint64{minRecordSize, 20_000, 1 << 20} {
		leak.Check(t)
		p := greetings()
		p.maxRecordSize = limit
		s, peer := meet(t, dialSide, mux.Config{}, p)
		st := open(t, s)
		const size = 1 << 20
		writing := start(func() error { st.Write(make([]byte, size)); return st.CloseWrite() })
		received, largest := 0, 0
		for f := (frame{}); !f.fin; {
			f, _ = peer.hear()
			if f.typ == frameStream {
				received, largest = received+f.length, max(largest, f.length)
			}
			if uint64(peer.r.left) > limit {
				t.Fatalf("a record of %d bytes, where %d are allowed", peer.r.left, limit)
			}
		}
		if received != size {
			t.Errorf("%d of %d bytes arrive", received, size)
		}
		// There are peers that take records of 16382 bytes, and payloads of 16352.
		if limit == minRecordSize && largest != 16352 || limit == 1<<20 && largest != maxPayload {
			t.Errorf("payloads of up to %d bytes with records of %d", largest, limit)
		}
		if err := await(t, "Write", writing); err != nil {
			t.Error(err)
		}
		peer.conn.Close()
	}
}

// TestUnreadStreams uses a hundred unread streams of a peer that keeps to the windows.
// The connection's window must not stop another stream.
func TestUnreadStreams(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, listenSide, mux.Config{}, greetings())
	go io.Copy(io.Discard, peer.conn) // ends with the connection
	const window = 256 << 10
	for i := range uint64(100) {
		for offset := uint64(0); offset < window; offset += 64 << 10 {
			peer.say(streamFrame(dialSide.id(i), offset, make([]byte, 64<<10)))
		}
		accept(t, s)
	}
	peer.say(fin(dialSide.id(100), 0, []byte("hello")))
	if got, err := io.ReadAll(accept(t, s)); string(got) != "hello" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if held := s.budget.Windows.Held.Load(); held < 100*window {
		t.Errorf("streams that are not read hold %d bytes, want %d", held, 100*window)
	}
	peer.conn.Close()
}

// TestCreditIsReturnedOnReceipt expects credit back for data that has arrived, even if it
// is dropped.
func TestCreditIsReturnedOnReceipt(t *testing.T) {
	const window, all = 256 << 10, 512 << 10
	for name, prepare := range map[string]func(s *session, st *stream){
		"not read": func(*session, *stream) {},
		"closed":   func(_ *session, st *stream) { st.Close() },
		"reset":    func(_ *session, st *stream) { st.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s, peer := meet(t, listenSide, mux.Config{}, greetings())
			peer.say(streamFrame(1, 0, []byte("x")))
			prepare(s, accept(t, s))
			offset := uint64(1)
			for offset < all/2 {
				n := min(16<<10, all/2-offset)
				peer.say(streamFrame(1, offset, make([]byte, n)))
				offset += n
			}
			for f := (frame{}); f.typ != frameMaxData; { // it may leave before all data has arrived
				if f, _ = peer.hear(); f.typ == frameMaxData && (f.max <= all || f.max > offset+all) {
					t.Errorf("%d bytes may be sent after %d, want more than %d and at most %d", f.max, offset, all, offset+all)
				}
			}
			// What a reset says will never come comes back as well.
			peer.say(encode(frame{typ: frameResetStream, id: 1, offset: window}))
			peer.say(encode(frame{typ: frameResetStream, id: 5, offset: window}))
			for f := (frame{}); f.typ != frameMaxData; {
				if f, _ = peer.hear(); f.typ == frameMaxData && f.max < window*2 {
					t.Errorf("%d bytes may be sent after the reset, want %d at least", f.max, window*2)
				}
			}
			peer.conn.Close()
		})
	}
}

// TestSilentPeer uses a peer that never sends its parameters.
func TestSilentPeer(t *testing.T) {
	leak.Check(t)
	s, peer := meetPuppet(t, dialSide, mux.Config{KeepAlive: -1})
	open(t, s)
	s.greeting.timer.Reset(0) // as if the time had come
	if err := cause(t, s); !errors.Is(err, mux.ErrSilent) || !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("cause %v, want mux.ErrSilent and mux.ErrSessionEnded", err)
	}
	peer.conn.Close()
}

// TestDropByDrop uses a peer that takes forever to send a record.
func TestDropByDrop(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, listenSide, mux.Config{KeepAlive: 200 * time.Millisecond}, greetings())
	go io.Copy(io.Discard, peer.conn) // ends with the connection
	peer.write(appendVarint(nil, 60_000))
	peer.write(streamFrame(1, 0, make([]byte, 50_000))[:10])
	for s.Context().Err() == nil {
		peer.write([]byte{0})
		<-time.After(time.Millisecond)
	}
	if err := context.Cause(s.Context()); !errors.Is(err, mux.ErrProtocol) {
		t.Errorf("cause %v, want mux.ErrProtocol", err)
	}
	peer.conn.Close()
}

// TestIdleTimeout expects pings in time for a peer with a short idle timeout.
func TestIdleTimeout(t *testing.T) {
	leak.Check(t)
	p := greetings()
	p.maxIdleTimeout = 60
	_, peer := meet(t, listenSide, mux.Config{}, p)
	for seq := uint64(1); seq <= 3; seq++ {
		if f, _, err := peer.next(); f.typ != framePing || f.seq != seq || err != nil {
			t.Fatalf("frame %+v, %v, want ping %d", f, err, seq)
		}
		peer.say(encode(frame{typ: framePong, seq: seq}))
	}
	peer.conn.Close()
}

// TestClosedStreamDropByDrop lets the payload of a closed stream arrive slowly. Calls on
// that stream must not wait for it.
func TestClosedStreamDropByDrop(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, listenSide, mux.Config{}, greetings())
	peer.say(streamFrame(1, 0, []byte("x")))
	st := accept(t, s)
	st.Close()
	peer.write(appendVarint(nil, 10_000))
	before := s.Heard()
	peer.write(streamFrame(1, 1, make([]byte, 9_900))[:100])
	until(t, "the reader waits for the rest", func() bool { return s.Heard() > before })
	for what, call := range map[string]func() error{
		"Close":           st.Close,
		"Read":            func() error { st.Read(make([]byte, 1)); return nil },
		"SetReadDeadline": func() error { st.SetReadDeadline(time.Time{}); return nil },
	} {
		await(t, what, start(call))
	}
	peer.conn.Close()
}

// TestCreditWaitsForReaders expects that the peer may never send more than there is
// memory for, and may send again when somebody has read.
func TestCreditWaitsForReaders(t *testing.T) {
	leak.Check(t)
	const buffer, piece = 1 << 20, 16 << 10
	s, peer := meet(t, listenSide, mux.Config{ReceiveBuffer: buffer}, greetings())
	allowed, sent := s.inflow.told(), uint64(0)
	limits := make(chan uint64)
	go func() {
		defer close(limits)
		for {
			switch f, _, err := peer.next(); {
			case err != nil:
				return
			case f.typ == frameMaxData:
				limits <- f.max
			}
		}
	}()
	credited := func() bool {
		select {
		case allowed = <-limits:
			return true
		case <-time.After(300 * time.Millisecond):
			return false
		}
	}
	var reader *stream
	for i := uint64(0); ; i++ {
		for sent+piece > allowed && credited() {
		}
		if sent+piece > allowed {
			break
		}
		peer.say(streamFrame(dialSide.id(i), 0, make([]byte, piece)))
		sent += piece
		reader = accept(t, s)
	}
	if held := s.budget.Windows.Held.Load(); held > buffer || held < buffer/2 {
		t.Errorf("%d bytes are held, of %d", held, buffer)
	}
	if allowed > buffer {
		t.Errorf("the peer may send %d bytes, where there is memory for %d", allowed, buffer)
	}
	for st := reader; !credited(); {
		if _, err := st.Read(make([]byte, piece)); err != nil {
			t.Fatal("no credit comes after reading: ", err)
		}
	}
	peer.conn.Close()
}
