package qmux

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// TestModel does anything to streams, at either end, and compares the result with a model
// in which nothing is on its way: in a bubble, everything has arrived before the next
// step.
func TestModel(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { walk(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

// A modelEnd is an end of a stream, and what is known of it.
type modelEnd struct {
	st   *stream
	peer *modelEnd

	written, read int   // bytes
	unread        int   // of those that the peer has written
	ended         bool  // it has finished, or was reset, or was asked to stop
	finished      bool  // the peer has finished
	readErr       error // what reading comes to, after what is unread
	writeErr      error
	closed        bool
}

func walk(t *testing.T, r *rand.Rand) {
	b, a := testnet.MemPair(t)
	d, l := newSession(draft02, a, dialSide, mux.Config{KeepAlive: -1}), newSession(draft02, b, listenSide, mux.Config{KeepAlive: -1})
	var ends []*modelEnd
	for range 150 {
		if len(ends) < 2 || r.IntN(15) == 0 {
			from, to := d, l
			if r.IntN(2) == 0 {
				from, to = l, d
			}
			one, other := &modelEnd{st: open(t, from)}, &modelEnd{st: accept(t, to)}
			one.peer, other.peer = other, one
			ends = append(ends, one, other)
		}
		e := ends[r.IntN(len(ends))]
		switch r.IntN(12) {
		case 0:
			e.closeWrite(t)
		case 1:
			e.close()
		case 2:
			e.reset(uint32(r.IntN(100)))
		case 3, 4, 5, 6:
			e.write(t, r.IntN(1<<r.IntN(12)))
		default:
			e.readUp(t, 1+r.IntN(1<<r.IntN(13)))
		}
		synctest.Wait()
		if t.Failed() {
			break
		}
	}
	for _, e := range ends {
		e.close()
	}
	synctest.Wait()
	for _, s := range []*session{d, l} {
		n, inUse, held := len(s.streams), s.Streams(), s.budget.Windows.Held.Load()
		if fromPeer, _ := s.FromPeerLocked(); n != 0 || inUse != 0 || s.unfinished != 0 || held != 0 || fromPeer != 0 {
			t.Errorf("in the end %d streams are known, %d in use, %d unfinished, %d open, and %d bytes held",
				n, inUse, s.unfinished, fromPeer, held)
		}
		if s.incoming.over != s.incoming.accepted || s.incoming.accepted != s.incoming.arrived.next {
			t.Errorf("of %d streams %d were accepted, and %d are over", s.incoming.arrived.next, s.incoming.accepted, s.incoming.over)
		}
	}
	go d.Close()
	l.Close()
	<-d.Context().Done()
}

// content is the byte at a position of what an end writes.
func content(st *stream, at int) byte { return byte(at*7) ^ byte(st.id) }

// stop notes that the peer wants no more, with err.
func (e *modelEnd) stop(err error) {
	if e.ended {
		return
	}
	e.ended, e.writeErr = true, err
	e.peer.cut(err)
}

// cut notes that the peer sends no more, with err.
func (e *modelEnd) cut(err error) {
	e.unread = 0
	if e.readErr == nil {
		e.readErr = err
	}
}

func (e *modelEnd) write(t *testing.T, n int) {
	p := make([]byte, n)
	for i := range p {
		p[i] = content(e.st, e.written+i)
	}
	m, err := e.st.Write(p)
	clear(p) // which is the caller's again
	if e.writeErr != nil {
		if m != 0 || !same(err, e.writeErr) {
			t.Errorf("stream %d: write: %d, %v, want %v", e.st.id, m, err, e.writeErr)
		}
		return
	}
	if m != n || err != nil {
		t.Errorf("stream %d: write of %d: %d, %v", e.st.id, n, m, err)
	}
	e.written += n
	if !e.peer.closed {
		e.peer.unread += n
	} else if n > 0 { // it goes on, although nobody reads
		e.stop(resetByPeer(codeClosed))
	}
}

func (e *modelEnd) readUp(t *testing.T, n int) {
	e.st.SetReadDeadline(time.Now().Add(-1))
	if e.unread > 0 || e.readErr != nil {
		e.st.SetReadDeadline(time.Time{})
	}
	p := make([]byte, n)
	m, err := e.st.Read(p)
	for i, b := range p[:m] {
		if want := content(e.st, e.read+i); b != want {
			t.Errorf("stream %d: byte %d is %d, want %d", e.st.id, e.read+i, b, want)
			break
		}
	}
	e.read += m
	want := e.readErr
	switch {
	case e.unread > 0:
		n, want = min(n, e.unread), nil
	case want == nil:
		n, want = 0, os.ErrDeadlineExceeded
	default:
		n = 0
	}
	if m != n || !same(err, want) {
		t.Errorf("stream %d: read: %d, %v, want %d, %v", e.st.id, m, err, n, want)
	}
	e.unread -= m
}

// same reports whether an error is the model's.
func same(got, want error) bool {
	if e, ok := errors.AsType[*mux.ResetError](want); ok {
		g, ok := errors.AsType[*mux.ResetError](got)
		return ok && *g == *e
	}
	return errors.Is(got, want)
}

// finish ends what the end sends, if it has not ended.
func (e *modelEnd) finish() {
	if e.ended {
		return
	}
	e.ended = true
	e.peer.finished = true
	if e.peer.readErr == nil {
		e.peer.readErr = io.EOF
	}
}

func (e *modelEnd) closeWrite(t *testing.T) {
	err := e.st.CloseWrite()
	switch {
	case e.writeErr == errStreamHalfClosed, errors.Is(e.writeErr, mux.ErrReset):
		if err != nil {
			t.Errorf("stream %d: CloseWrite of what has ended: %v", e.st.id, err)
		}
	case e.writeErr != nil:
		if !same(err, e.writeErr) {
			t.Errorf("stream %d: CloseWrite: %v, want %v", e.st.id, err, e.writeErr)
		}
	default:
		e.finish()
		e.writeErr = errStreamHalfClosed
	}
}

func (e *modelEnd) leave() {
	e.closed, e.unread = true, 0
	e.readErr, e.writeErr = net.ErrClosed, net.ErrClosed
}

func (e *modelEnd) close() {
	e.st.Close()
	if !e.closed {
		e.finish()
		e.leave()
	}
}

func (e *modelEnd) reset(code uint32) {
	e.st.ResetWithCode(code)
	if e.closed {
		return
	}
	if !e.ended {
		e.ended = true
		e.peer.cut(resetByPeer(uint64(code)))
	}
	e.leave()
	e.peer.stop(resetByPeer(uint64(code)))
}
