package muxtest

import (
	"net"
	"sync"
	"testing"

	"github.com/backdial/backdial/internal/testnet"
)

// A link is one end of a TCP connection that can fail on demand.
type link struct {
	*net.TCPConn

	mu     sync.Mutex // guards below
	thaw   sync.Cond
	frozen bool
	closed bool
}

// newLinks returns the two ends of a connection.
func newLinks(t *testing.T) (a, b *link) {
	t.Helper()
	dialled, accepted := testnet.Pair(t)
	a, b = newLink(dialled), newLink(accepted)
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

func newLink(c *net.TCPConn) *link {
	l := &link{TCPConn: c}
	l.thaw.L = &l.mu
	return l
}

// freeze lets nothing more through, in either direction and for ever, as a
// network does that drops everything.
func (l *link) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = true
}

// cut closes the connection so that the peer sees a reset, not an end.
func (l *link) cut() {
	l.SetLinger(0)
	l.Close()
}

// pass waits until the link works or was closed.
func (l *link) pass() error {
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

func (l *link) Read(p []byte) (int, error) {
	n, err := l.TCPConn.Read(p)
	if gone := l.pass(); gone != nil {
		return 0, gone
	}
	return n, err
}

func (l *link) Write(p []byte) (int, error) {
	if err := l.pass(); err != nil {
		return 0, err
	}
	return l.TCPConn.Write(p)
}

func (l *link) Close() error {
	l.mu.Lock()
	l.closed = true
	l.thaw.Broadcast()
	l.mu.Unlock()
	return l.TCPConn.Close()
}
