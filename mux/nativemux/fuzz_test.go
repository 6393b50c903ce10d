package nativemux

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/echo"
	"github.com/backdial/backdial/mux"
)

// The habits of the two ends of a session, beside what the peer sends and does. They are
// the bits of a number, so that a fuzzer can change them.
const (
	dials       = 1 << iota // the victim opens streams; else it accepts them
	forgets                 // the victim's user accepts nothing
	neglects                // nor reads anything
	peerListens             // the peer reads what the victim says, and takes its streams
	peerIsFar               // what it says and does takes a while
)

// What the peer does with streams. A number says what, and with which stream.
const (
	opens = iota
	writes
	finishes
	cancels
	actions
)

// The ways to end a session that has survived what the peer sends.
const (
	peerFinishes = iota // what it says, and not its streams
	peerCuts
	peerSilent // and stays
	victimCloses
	endings
)

// hostileLimits are so small that a few streams exceed them. A victim that dials lets its
// peer open no streams, as servers do.
func (v *victim) hostileLimits() mux.Config {
	limits := mux.Config{
		MaxStreams:    8,
		AcceptBacklog: 4,
		ReceiveBuffer: 64 << 10,
		OnMessage:     v.hearMessage,
	}
	if v.has(dials) {
		limits.MaxStreams = -1
	}
	return limits
}

const (
	// written is what the peer writes to a stream at a time.
	written = 40 << 10

	// away is how long it takes to hear of a peer that is far: streams that are not
	// read are found neglected meanwhile.
	away = neglect / 4

	// arriving is what the pumps of streams hold at most, before the session knows
	// whether there is room.
	arriving = enough + largeFetch

	// maxGoroutines is how many goroutines a session and the users of its streams have,
	// plus goroutines that have ended but that the runtime still counts. The peer has one more for
	// each stream of its own.
	maxGoroutines = 50 + 64
)

// FuzzControl lets a peer send anything on the control stream, do anything with other
// streams meanwhile, and have the last word, to a session whose user reads and writes. In
// any case the session must keep its limits, end when it has to, and say why. In a bubble
// nothing takes time, and nothing can hang unnoticed.
func FuzzControl(f *testing.F) {
	f.Fuzz(func(t *testing.T, habits, ending byte, does, says, last []byte) {
		checkNumbers(t, says)
		checkClosing(t, says)
		synctest.Test(t, func(t *testing.T) {
			v := newVictim(t, habits)
			v.suffer(does, says)
			v.end(ending%endings, last)
		})
	})
}

// checkNumbers expects numbers to be read as the standard library reads them.
func checkNumbers(t *testing.T, says []byte) {
	ours, theirs := bytes.NewReader(says), bytes.NewReader(says)
	for {
		got, err := readUvarint(ours)
		want, wantErr := binary.ReadUvarint(theirs)
		if (err == nil) != (wantErr == nil) || err == nil && (got != want || ours.Len() != theirs.Len()) {
			t.Errorf("read %d, %v, want %d, %v", got, err, want, wantErr)
		}
		if err != nil {
			if !errors.Is(err, mux.ErrProtocol) && err != io.EOF {
				t.Errorf("error %v, want mux.ErrProtocol or io.EOF", err)
			}
			return
		}
	}
}

// checkClosing takes the input for the content of a message, and expects to read the same
// from a message with that content.
func checkClosing(t *testing.T, says []byte) {
	m, err := readClosing(bufio.NewReader(bytes.NewReader(says)))
	if err != nil {
		return
	}
	c := control{closing: m}
	r := bufio.NewReader(bytes.NewReader(c.appendMessages(nil)))
	kind, err := readUvarint(r)
	if kind != kindClosing || err != nil {
		t.Fatalf("a closing message is said as one of kind %d, %v", kind, err)
	}
	again, err := readClosing(r)
	if err != nil || again.opened != m.opened || !maps.Equal(again.unfinished, m.unfinished) {
		t.Errorf("%+v is read again as %+v, %v", m, again, err)
	}
}

// A victim is a session with a user, and a hostile peer.
type victim struct {
	t          *testing.T
	habits     byte
	session    *session
	user       echo.User
	peer       *memConn
	streams    []*writer // that the peer has opened
	goroutines int       // that there were before
}

func newVictim(t *testing.T, habits byte) *victim {
	v := &victim{t: t, habits: habits, goroutines: runtime.NumGoroutine()}
	ours, peer := newMemConns()
	v.peer = peer
	v.user.Forgets, v.user.Neglects = v.has(forgets), v.has(neglects)
	if v.has(dials) {
		v.user.Opens = 2
	}
	v.session = newSession(ours, v.hostileLimits(), !v.has(dials))
	v.user.Use(t, v.session)
	if v.has(peerListens) {
		go io.Copy(io.Discard, peer)
		go v.takeStreams()
	}
	return v
}

func (v *victim) has(habit byte) bool { return v.habits&habit != 0 }

// takeStreams lets the peer read what the victim writes.
func (v *victim) takeStreams() {
	for {
		st, err := v.peer.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go io.Copy(io.Discard, st)
	}
}

// suffer lets the peer do and send something, a byte of each at a time.
func (v *victim) suffer(does, says []byte) {
	for i := range max(len(does), len(says)) {
		if v.has(peerIsFar) {
			time.Sleep(away)
		}
		if i < len(does) {
			v.act(does[i])
		}
		if i < len(says) {
			v.peer.Write(says[i : i+1]) // fails if the session has ended
		}
		synctest.Wait()
		v.checkLimits()
	}
}

// act lets the peer do something.
func (v *victim) act(action byte) {
	what, which := action%actions, int(action/actions)
	if what == opens {
		if st, err := v.peer.OpenStream(context.Background()); err == nil {
			v.streams = append(v.streams, newWriter(st))
		}
		return
	}
	if len(v.streams) == 0 {
		return
	}
	st := v.streams[which%len(v.streams)]
	switch what {
	case writes:
		st.write()
	case finishes:
		st.CloseWrite()
	case cancels:
		st.CancelRead(uint32(which))
		st.CancelWrite(uint32(which))
	}
}

// A writer is a stream to which the peer writes without waiting.
type writer struct {
	carrier.Stream
	writes chan struct{}
}

func newWriter(st carrier.Stream) *writer {
	w := &writer{st, make(chan struct{}, 1<<10)}
	go func() {
		for range w.writes {
			w.Write(make([]byte, written))
		}
	}()
	return w
}

func (w *writer) write() {
	select {
	case w.writes <- struct{}{}:
	default: // it is enough
	}
}

func (v *victim) hearMessage(message []byte) {
	if len(message) > mux.MaxMessage {
		v.t.Errorf("a message of %d bytes", len(message))
	}
}

func (v *victim) checkLimits() {
	v.t.Helper()
	s := v.session
	buffered := 0
	for _, st := range s.live() {
		st.in.Lock()
		buffered += st.in.MemoryLocked()
		st.in.Unlock()
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if buffered > s.Config.ReceiveBuffer+arriving {
		v.t.Errorf("holds %d bytes of %d", buffered, s.Config.ReceiveBuffer)
	}
	if open, waiting := s.FromPeerLocked(); open > max(s.Config.MaxStreams, 0) || waiting > s.Config.AcceptBacklog {
		v.t.Errorf("the peer has %d streams, of which %d wait to be accepted", open, waiting)
	}
	if n := runtime.NumGoroutine() - v.goroutines - len(v.streams); n > maxGoroutines {
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
	if len(last) > 0 {
		v.peer.Write(last) // at once
		synctest.Wait()
		v.checkLimits()
	}
	began := time.Now()
	within := 2 * time.Second
	switch how {
	case peerFinishes:
		v.peer.CloseWrite()
	case peerCuts:
		v.peer.Close()
	case peerSilent:
		within += s.Config.KeepAlive + s.Config.KeepAliveTimeout
		if !s.isHeard() && v.has(dials) {
			// It may be a peer that does not have a control stream. Whether it is
			// still there is for its carrier to find out.
			time.Sleep(time.Hour)
			v.peer.Close()
			within += time.Hour
		}
	case victimCloses:
		within += s.Config.Linger
	}
	<-s.Context().Done()
	if took := time.Since(began); took > within {
		v.t.Errorf("takes %v to end, want %v at most", took, within)
	}
	v.checkCause(how == victimCloses)
	v.peer.Close()
	for _, st := range v.streams {
		close(st.writes)
	}
	s.Close()
	v.user.Wait()
	if held := s.held.Load(); held != 0 {
		v.t.Errorf("holds %d bytes after the end", held)
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
