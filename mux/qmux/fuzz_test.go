package qmux

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/echo"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

// The habits of the two ends of a session, beside what the peer sends. They are the bits
// of a number, so that a fuzzer can change them.
const (
	greets      = 1 << iota // the peer says who it is, before all else
	extended                // and that it knows the extension
	dials                   // the victim opens streams; else it accepts them
	forgets                 // the victim's user accepts nothing
	neglects                // nor reads anything
	peerListens             // the peer reads what the victim says
	peerIsFar               // what it says comes in small pieces, and takes a while
	hasRoom                 // the victim's receive buffer is larger than a window
)

// The ways to end a session that has survived what the peer sends.
const (
	peerFinishes = iota // with CloseWrite
	peerCuts            // with Close alone
	peerSilent          // says nothing more, and stays
	victimCloses
	endings
)

// inMessages is the bit of an ending that makes each piece of input a message, and so a
// record without Size.
const inMessages = 1 << 7

// A framed is a connection that carries messages, each with its length before it.
type framed struct{ net.Conn }

func (framed) Protocol() string { return "" }

func (c framed) NextMessage(limit int) (int, error) {
	var size [4]byte
	if n, err := io.ReadFull(c.Conn, size[:]); err != nil {
		if n > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > limit {
		return 0, carrier.ErrMessageSize
	}
	return n, nil
}

func (c framed) WriteMessages(messages ...[]byte) error {
	for _, m := range messages {
		if _, err := c.Write(m); err != nil {
			return err
		}
	}
	return nil
}

func (c framed) WriteLast(messages ...[]byte) error {
	if err := c.WriteMessages(messages...); err != nil {
		return err
	}
	return c.CloseWrite()
}

func (c framed) Write(p []byte) (int, error) {
	return c.Conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...))
}

func (c framed) CloseWrite() error { return c.Conn.(carrier.CloseWriter).CloseWrite() }

const (
	// maxRepeated is how much may come of what the peer repeats: more than any limit,
	// as the payload of a frame that claims to have some, or as a flood of frames.
	maxRepeated = 1 << 20

	// What a peer says at a time, and what it repeats at a time. The latter is less
	// than the receive buffer, so that a user who reads keeps up.
	piece      = 5
	largePiece = 8 << 10

	// away is how long a piece takes from a peer that is far: windows grow then.
	away = 5 * time.Millisecond

	// arriving is what the payload of a frame under way occupies at most, before the
	// session knows whether there is room.
	arriving = 32 << 10

	// maxGoroutines is how many goroutines a session and the users of its streams have,
	// plus goroutines that have ended but that the runtime still counts.
	maxGoroutines = 30 + 64
)

// FuzzSession lets a peer send anything, repeat something, and have the last word, to a
// session whose user reads and writes. In any case the session must keep its limits, end
// when it has to, and say why. In a bubble nothing takes time, and nothing can hang
// unnoticed.
func FuzzSession(f *testing.F) {
	record := func(frames ...[]byte) []byte {
		b := slices.Concat(frames...)
		return append(appendVarint(nil, uint64(len(b))), b...)
	}
	p := greetings()
	conversation := slices.Concat(
		record(parametersFrame(p)),
		record(streamFrame(1, 0, []byte("hello")), encode(frame{typ: framePing, seq: 1})),
		record(encode(frame{typ: frameMaxStreamData, id: 1, max: 1 << 21}), encode(frame{typ: frameMaxData, max: 1 << 40})),
		record(encode(frame{typ: frameStopSending, id: 1, code: 3}), fin(1, 5, []byte("bye"))),
		record(encode(frame{typ: frameResetStream, id: 5, code: 3, offset: 100})))
	goodbye := record(encode(frame{typ: frameCloseApplication}))
	f.Add(byte(0), byte(peerFinishes), conversation, []byte{}, uint16(0), goodbye)
	f.Add(byte(dials|peerListens), byte(victimCloses), slices.Concat(record(parametersFrame(p)), record(streamFrame(1, 0, []byte("x")), streamFrame(5, 0, nil))), []byte{}, uint16(0), goodbye)
	f.Add(byte(greets|extended), byte(peerCuts), record(encode(frame{typ: frameLeaving}), append(encode(frame{typ: frameMessage, length: 1}), 'x')), record(streamFrame(1, 0, nil)), uint16(100), []byte{})
	f.Add(byte(greets), byte(peerSilent), []byte{}, record(make([]byte, 1000)), uint16(1000), goodbye)
	f.Add(byte(greets|neglects|forgets), byte(peerSilent), append([]byte{0x80, 0, 0xff, 0}, streamFrame(1, 0, make([]byte, 1<<14))[:5]...), make([]byte, 1<<12), uint16(16), []byte{})
	f.Add(byte(greets|peerListens|peerIsFar|hasRoom), byte(victimCloses), record(streamFrame(1, 0, make([]byte, 4000))), []byte{0}, uint16(10), []byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(byte(greets|extended|peerListens|hasRoom), byte(inMessages+peerFinishes), fin(1, 0, []byte("hello")), streamFrame(5, 0, []byte("x")), uint16(1), encode(frame{typ: frameCloseApplication}))
	f.Add(byte(dials), byte(inMessages+victimCloses), parametersFrame(p), []byte{}, uint16(0), unhex(f, "09 01 6869"))
	f.Fuzz(func(t *testing.T, habits, ending byte, says, repeats []byte, times uint16, last []byte) {
		repeated := bytes.Repeat(repeats, min(int(times), maxRepeated/max(len(repeats), 1)))
		synctest.Test(t, func(t *testing.T) {
			v := newVictim(t, habits, ending&inMessages != 0)
			v.hear(says, piece)
			v.hear(repeated, largePiece)
			v.end(ending&^inMessages%endings, last)
		})
	})
}

// A victim is a session with a user, and a hostile peer.
type victim struct {
	t          *testing.T
	habits     byte
	limits     mux.Config
	session    *session
	peer       net.Conn
	user       echo.User
	goroutines int // that there were before
}

// limits are so small that a few bytes exceed them. A victim that dials lets its peer
// open no streams, as servers do.
func (v *victim) hostileLimits() mux.Config {
	limits := mux.Config{
		MaxStreams:    8,
		AcceptBacklog: 4,
		ReceiveBuffer: 16 << 10,
		OnMessage:     v.hearMessage,
	}
	if v.has(dials) {
		limits.MaxStreams = -1
	}
	if v.has(hasRoom) {
		limits.ReceiveBuffer = 1 << 20
	}
	return limits.WithDefaults()
}

func newVictim(t *testing.T, habits byte, messages bool) *victim {
	v := &victim{t: t, habits: habits, goroutines: runtime.NumGoroutine()}
	v.user.Forgets, v.user.Neglects = v.has(forgets), v.has(neglects)
	side := listenSide
	if v.has(dials) {
		side, v.user.Opens = dialSide, 2
	}
	theirs, ours := testnet.MemPair(t)
	if messages {
		ours, theirs = framed{ours}, framed{theirs}
	}
	v.limits, v.peer = v.hostileLimits(), theirs
	v.session = newSession(draft02, ours, side, v.limits)
	v.user.Use(t, v.session)
	if v.has(peerListens) {
		go io.Copy(io.Discard, theirs)
	}
	if v.has(greets) {
		p := greetings()
		if v.has(extended) {
			p.backlog = 1
		}
		record := parametersFrame(p)
		if !messages {
			record = append(appendVarint(nil, uint64(len(record))), record...)
		}
		theirs.Write(record)
	}
	return v
}

func (v *victim) has(habit byte) bool { return v.habits&habit != 0 }

func (v *victim) hearMessage(message []byte) {
	if len(message) > mux.MaxMessage {
		v.t.Errorf("a message of %d bytes", len(message))
	}
}

// hear lets the peer write p, and checks the result after each piece of that size. A peer
// with little input is not worth that.
func (v *victim) hear(p []byte, size int) {
	if !v.has(peerIsFar) {
		size = max(len(p), 1)
	}
	for said := range slices.Chunk(p, size) {
		if v.has(peerIsFar) {
			time.Sleep(away)
		}
		if _, err := v.peer.Write(said); err != nil {
			return // the session has ended
		}
		synctest.Wait()
		v.checkLimits()
	}
}

func live(s *session) []*stream {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return protocol{s}.LiveLocked()
}

func (v *victim) checkLimits() {
	v.t.Helper()
	s := v.session
	buffered := 0
	for _, st := range live(s) {
		st.in.Lock()
		buffered += st.in.MemoryLocked()
		if received, allowed := st.in.ReceivedLocked(), st.in.AllowedLocked(); received > allowed {
			v.t.Errorf("stream %d has received %d bytes, and was allowed %d", st.id, received, allowed)
		}
		st.in.Unlock()
	}
	if held := int(s.budget.Windows.Held.Load()); buffered > v.limits.ReceiveBuffer+arriving || buffered-held > arriving {
		v.t.Errorf("holds %d bytes and believes to hold %d, of %d", buffered, held, v.limits.ReceiveBuffer)
	}
	if grown := s.budget.Windows.Grown(); grown > int64(v.limits.ReceiveBuffer/2) {
		v.t.Errorf("windows have grown by %d bytes", grown)
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if queued := s.out.queuedLocked(); queued > maxBatch+writeloop.MostRoom {
		v.t.Errorf("%d bytes wait for the peer to read", queued)
	}
	if open, waiting := s.FromPeerLocked(); open > max(v.limits.MaxStreams, 0) || waiting > v.limits.AcceptBacklog {
		v.t.Errorf("the peer has %d streams, of which %d wait to be accepted", open, waiting)
	}
	if known, most := len(s.streams), v.user.Opens+max(v.limits.MaxStreams, 0)+v.limits.AcceptBacklog+life.MaxUnwanted; known > most {
		v.t.Errorf("%d streams are known, of %d at most", known, most)
	}
	if s.out.sent > s.out.maxData {
		v.t.Errorf("%d bytes were sent, where %d are allowed", s.out.sent, s.out.maxData)
	}
	if n := runtime.NumGoroutine() - v.goroutines; n > maxGoroutines {
		v.t.Errorf("%d goroutines", n)
	}
}

// end ends the session, and expects nothing to be left.
func (v *victim) end(how byte, last []byte) {
	s := v.session
	if how == victimCloses {
		go s.Close() // in the middle of what the peer says
		synctest.Wait()
	}
	v.hear(last, piece)
	began := time.Now()
	within := 2 * time.Second // for a last word to a peer that does not read
	switch how {
	case peerFinishes:
		v.peer.(carrier.CloseWriter).CloseWrite()
	case peerCuts:
		v.peer.Close()
	case peerSilent:
		within += 2 * (v.limits.KeepAlive + v.limits.KeepAliveTimeout)
	case victimCloses:
		within += v.limits.Linger
	}
	<-s.Context().Done()
	if took := time.Since(began); took > within {
		v.t.Errorf("takes %v to end, want %v at most", took, within)
	}
	v.checkCause(how == victimCloses)
	v.peer.Close()
	s.Close()
	v.user.Wait()
	buffered := 0
	for _, st := range live(s) {
		buffered += st.in.MemoryLocked()
	}
	if held, grown := s.budget.Windows.Held.Load(), s.budget.Windows.Grown(); held != 0 || grown != 0 || buffered != 0 {
		v.t.Errorf("after the end %d bytes are held, %d believed to be, and windows have grown by %d", buffered, held, grown)
	}
	if s.unfinished < 0 {
		v.t.Errorf("%d streams have something that waits", s.unfinished)
	}
}

func (v *victim) checkCause(byUs bool) {
	v.t.Helper()
	err := context.Cause(v.session.Context())
	if errors.Is(err, io.EOF) || !errors.Is(err, mux.ErrSessionEnded) && !(byUs && errors.Is(err, net.ErrClosed)) {
		v.t.Errorf("the session ended with %v", err)
	}
	if len(err.Error()) > 500 {
		v.t.Errorf("the reason has %d bytes: %v", len(err.Error()), err)
	}
}
