package muxtest

import (
	"errors"
	"net"
	"sync"
)

// A Link is a connection that can fail on demand. Sessions under test run on
// one.
type Link struct {
	net.Conn

	mu     sync.Mutex // guards below
	thaw   sync.Cond
	frozen bool
	closed bool
}

// NewLink returns a link over conn.
func NewLink(conn net.Conn) *Link {
	l := &Link{Conn: conn}
	l.thaw.L = &l.mu
	return l
}

// Freeze lets nothing more through, in either direction and for ever, as a
// network does that drops everything.
func (l *Link) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = true
}

// Cut ends the connection so that the peer does not see an orderly end.
func (l *Link) Cut() {
	if tcp, ok := l.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	l.Close()
}

// pass waits until the link works or was closed.
func (l *Link) pass() error {
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

func (l *Link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if gone := l.pass(); gone != nil {
		return 0, gone
	}
	return n, err
}

func (l *Link) Write(p []byte) (int, error) {
	if err := l.pass(); err != nil {
		return 0, err
	}
	return l.Conn.Write(p)
}

// CloseWrite does what it does on the connection, if that can.
func (l *Link) CloseWrite() error {
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
func (l *Link) Close() error {
	l.mu.Lock()
	l.closed = true
	l.thaw.Broadcast()
	l.mu.Unlock()
	return l.Conn.Close()
}
