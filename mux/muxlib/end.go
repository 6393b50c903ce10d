package muxlib

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux"
)

// An End is one end of a connection, on which a library's session runs. For the library
// it is the connection. The library must not set deadlines on it.
//
// An End notices that the connection is lost before the library does, and only its Read
// tells the library, so the library reports the end of a stream only if the stream did
// end.
type End struct {
	net.Conn

	// DialSide says that this end opens the streams.
	DialSide bool

	// Config has the limits of the session. All fields are set.
	Config mux.Config

	session *session
	began   time.Time
	read    chan struct{} // closed when Read has failed
	closed  atomic.Bool   // by the library
	muted   atomic.Bool   // nothing may be written any more
	writing atomic.Int64  // when the current Write began, since began; 0 for none
}

// PeerLeaves makes Open fail with [mux.ErrGoAway]: the peer takes no more streams.
func (e *End) PeerLeaves() {
	e.session.Mu.Lock()
	defer e.session.Mu.Unlock()
	e.session.PeerLeavesLocked()
	e.session.opens.overLocked()
}

// PeerReads notes that the peer reads: it has answered a ping, perhaps for a second time,
// like a peer that waits for memory. An answer with which Ping returns needs no call.
func (e *End) PeerReads() {
	e.session.Mu.Lock()
	defer e.session.Mu.Unlock()
	e.session.AskAnewLocked()
}

// Message hands over a message of the peer. The callee keeps it.
func (e *End) Message(message []byte) {
	if e.Config.OnMessage != nil {
		e.Config.OnMessage(message)
	}
}

// Read implements [net.Conn]. It ends the session before it fails.
func (e *End) Read(p []byte) (int, error) {
	n, err := receiver{e}.Read(p)
	if err != nil {
		e.fail(err)
	}
	return n, err
}

// receiver reads from an End without ending the session.
type receiver struct{ *End }

func (r receiver) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if n > 0 {
		r.session.Hear(n)
		err = nil // it will come again
	}
	return n, err
}

// fail ends the session with err, the error of the connection or of what the peer has
// sent on it. The goroutine that reads the connection calls it, and then makes the
// library's session end.
func (e *End) fail(err error) {
	select {
	case <-e.read:
		return
	default:
		close(e.read)
	}
	if e.closed.Load() {
		return // the library says why
	}
	if errors.Is(err, io.EOF) {
		err = mux.ErrClosedByPeer
	}
	e.session.lost(err)
}

// Write implements [net.Conn]. Once the connection takes nothing more, Write discards its
// argument: what has arrived can still be read.
func (e *End) Write(p []byte) (int, error) {
	if e.muted.Load() {
		return len(p), nil
	}
	e.writing.Store(int64(time.Since(e.began)) + 1)
	_, err := e.Conn.Write(p)
	took := e.stuck()
	e.writing.Store(0)
	if err == nil {
		e.session.took(took)
		return len(p), nil
	}
	e.muted.Store(true)
	if !e.closed.Load() {
		e.session.writeFailed(err)
	}
	return len(p), nil
}

// Close implements [net.Conn].
func (e *End) Close() error {
	e.closed.Store(true)
	err := e.Conn.Close()
	e.session.Mu.Lock()
	defer e.session.Mu.Unlock()
	e.session.changed.Broadcast()
	return err
}

// closeWrite tells the peer that nothing more follows, and reports whether the connection
// could say that.
func (e *End) closeWrite() bool {
	c := powers.OfConn(e.Conn).CloseWriter
	return c != nil && !e.muted.Swap(true) && c.CloseWrite() == nil
}

// stuck is for how long the connection has not taken the current Write.
func (e *End) stuck() time.Duration {
	since := e.writing.Load()
	if since == 0 {
		return 0
	}
	return time.Since(e.began) - time.Duration(since)
}
