package engine_test

import (
	"bytes"
	"context"
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
	"github.com/backdial/backdial/mux/internal/engine"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// The habits of the two ends of a session, beside what the peer sends. They are the bits
// of a number, so that a fuzzer can change them.
const (
	speaksSmux  = 1 << iota // instead of yamux
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

// hostileLimits are so small that a few bytes exceed them. A victim that dials lets its
// peer open no streams, as servers do.
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

	// maxQueued bounds what waits for a peer that does not read.
	maxQueued = 448 << 10

	// maxGoroutines is how many goroutines a session and the users of its streams have,
	// plus goroutines that have ended but that the runtime still counts.
	maxGoroutines = 30 + 64
)

// FuzzSession lets a peer send anything, repeat something, and have the last word, to a
// session whose user reads and writes. In any case the session must keep its limits, end
// when it has to, and say why. In a bubble nothing takes time, and nothing can hang
// unnoticed.
func FuzzSession(f *testing.F) {
	f.Fuzz(func(t *testing.T, habits, ending byte, says, repeats []byte, times uint16, last []byte) {
		repeated := bytes.Repeat(repeats, min(int(times), maxRepeated/max(len(repeats), 1)))
		synctest.Test(t, func(t *testing.T) {
			v := newVictim(t, habits)
			v.hear(says, piece)
			v.hear(repeated, largePiece)
			v.end(ending%endings, last)
		})
	})
}

// A victim is a session with a user, and a hostile peer.
type victim struct {
	t          *testing.T
	habits     byte
	limits     mux.Config
	session    mux.Session
	peer       net.Conn
	user       echo.User
	goroutines int // that there were before
}

func newVictim(t *testing.T, habits byte) *victim {
	v := &victim{t: t, habits: habits, goroutines: runtime.NumGoroutine()}
	m := yamuxmux.New()
	if v.has(speaksSmux) {
		m = smuxmux.New()
	}
	start := m.ListenSide
	v.user.Forgets, v.user.Neglects = v.has(forgets), v.has(neglects)
	if v.has(dials) {
		start, v.user.Opens = m.DialSide, 2
	}
	theirs, ours := testnet.MemPair(t)
	v.limits, v.peer = v.hostileLimits(), theirs
	var err error
	if v.session, err = start(ours, v.limits); err != nil {
		t.Fatal(err)
	}
	v.user.Use(t, v.session)
	if v.has(peerListens) {
		go io.Copy(io.Discard, theirs)
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

func (v *victim) checkLimits() {
	v.t.Helper()
	a := engine.AccountOf(v.session)
	if a.Buffered > v.limits.ReceiveBuffer+arriving || a.Buffered-a.Held > arriving {
		v.t.Errorf("holds %d bytes and believes to hold %d, of %d", a.Buffered, a.Held, v.limits.ReceiveBuffer)
	}
	if a.Excess > 0 {
		v.t.Errorf("streams have received %d bytes more than they were allowed", a.Excess)
	}
	if a.Grown > v.limits.ReceiveBuffer/2 {
		v.t.Errorf("windows have grown by %d bytes", a.Grown)
	}
	if a.Queued > maxQueued {
		v.t.Errorf("%d bytes wait for the peer to read", a.Queued)
	}
	if a.FromPeer > max(v.limits.MaxStreams, 0) || a.Waiting > v.limits.AcceptBacklog {
		v.t.Errorf("the peer has %d streams, of which %d wait to be accepted", a.FromPeer, a.Waiting)
	}
	if n := runtime.NumGoroutine() - v.goroutines; n > maxGoroutines {
		v.t.Errorf("%d goroutines", n)
	}
}

// end ends the session, and expects nothing to be left.
func (v *victim) end(how byte, last []byte) {
	if how == victimCloses {
		go v.session.Close() // in the middle of what the peer says
		synctest.Wait()
	}
	v.hear(last, piece)
	began := time.Now()
	within := 5 * time.Second // for memory to hear the rest, and for a last word to a peer that does not read
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
	<-v.session.Context().Done()
	if took := time.Since(began); took > within {
		v.t.Errorf("takes %v to end, want %v at most", took, within)
	}
	v.checkCause(how == victimCloses)
	v.peer.Close()
	v.session.Close()
	v.user.Wait()
	if a := engine.AccountOf(v.session); a.Held != 0 || a.Buffered != 0 || a.Grown != 0 {
		v.t.Errorf("after the end there is left %+v", a)
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
