package muxtest

import (
	"errors"
	"net"
	"sync"
)

// A Link is what one end of a session under test runs on. It can fail on demand.
type Link interface {
	// Freeze lets nothing more through, in either direction and forever, like a network
	// that drops everything.
	Freeze()

	// Cut ends the connection so that the peer sees no orderly end.
	Cut()

	// Close closes the connection as its owner would, without telling the session on it.
	Close() error
}

// A ConnLink is a [Link] around a connection. Use it in place of the connection.
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

// Pass waits until the link works, and fails if it was closed. Methods of the connection
// other than Read and Write call it too.
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

// Passes reports whether Pass would return nil at once.
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

// CloseWrite calls the connection's CloseWrite, if it has one.
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

// Close wakes what the link blocks, and closes the connection.
func (l *ConnLink) Close() error {
	l.mu.Lock()
	l.closed = true
	l.thaw.Broadcast()
	l.mu.Unlock()
	return l.Conn.Close()
}
