package muxtest

import (
	"errors"
	"net"
	"sync"
)

// A Link is what an end of a session under test runs on. It can fail on
// demand.
type Link interface {
	// Freeze lets nothing more through, in either direction and for ever, as a
	// network does that drops everything.
	Freeze()

	// Cut ends the connection so that the peer does not see an orderly end.
	Cut()

	// Close closes the connection, as its owner would, without a word to the
	// session on it.
	Close() error
}

// A ConnLink is a [Link] around a connection, and to be used in its place.
type ConnLink struct {
	net.Conn

	mu     sync.Mutex // guards below
	thaw   sync.Cond
	frozen bool
	closed bool
}

// NewLink returns a link over conn.
func NewLink(conn net.Conn) *ConnLink {
	l := &ConnLink{Conn: conn}
	l.thaw.L = &l.mu
	return l
}

// Freeze implements [Link].
func (l *ConnLink) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = true
}

// Cut implements [Link].
func (l *ConnLink) Cut() {
	if tcp, ok := l.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	l.Close()
}

// Pass waits until the link works, and fails if it was closed. What else the
// connection has than Read and Write goes through it too.
func (l *ConnLink) Pass() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.frozen && !l.closed {
		l.thaw.Wait()
	}
	if l.closed {
		return net.ErrClosed
	}
	return nil
}

// Passes reports whether Pass would not wait, nor fail.
func (l *ConnLink) Passes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.frozen && !l.closed
}

func (l *ConnLink) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if gone := l.Pass(); gone != nil {
		return 0, gone
	}
	return n, err
}

func (l *ConnLink) Write(p []byte) (int, error) {
	if err := l.Pass(); err != nil {
		return 0, err
	}
	return l.Conn.Write(p)
}

// CloseWrite does what it does on the connection, if that can.
func (l *ConnLink) CloseWrite() error {
	c, ok := l.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen {
		return nil // lost on the way
	}
	return c.CloseWrite()
}

// Close wakes what the link holds up, and closes the connection.
func (l *ConnLink) Close() error {
	l.mu.Lock()
	l.closed = true
	l.thaw.Broadcast()
	l.mu.Unlock()
	return l.Conn.Close()
}
