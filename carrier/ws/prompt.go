//go:build linux || darwin

package ws

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/backdial/backdial/carrier"
)

// promptConn is a conn on a socket that can take as much as there is room for, without
// waiting.
type promptConn struct {
	*conn
	attempt attempt
	arrived arrived
}

var (
	_ carrier.PromptWriter = (*promptConn)(nil)
	_ carrier.PromptReader = (*promptConn)(nil)
)

// prompted returns c, as a [carrier.PromptWriter] and [carrier.PromptReader] if possible.
// TLS cannot be either: it must wait until it has written what it has encrypted, and for
// all of what it decrypts.
func prompted(c *conn) carrier.Conn {
	tcp, ok := c.net.(*net.TCPConn)
	if !ok {
		return c
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	p := &promptConn{conn: c}
	p.attempt.init(socket)
	p.arrived.init(socket)
	return p
}

// WriteNow implements [carrier.PromptWriter].
func (c *promptConn) WriteNow(messages ...[]byte) (kept bool, err error) {
	if c.closed.Load() {
		return false, fmt.Errorf("ws: write: %w", net.ErrClosed)
	}
	kept, err = c.w.try(&c.attempt, messages)
	return kept, c.writeErr(err)
}

// Flush implements [carrier.PromptWriter].
func (c *promptConn) Flush() error { return c.WriteMessages() }

// ReadNow implements [carrier.PromptReader].
func (c *promptConn) ReadNow(p []byte) (n int) {
	if c.unreadable() != nil {
		return 0
	}
	if len(c.whole.rest) > 0 {
		n, _ = c.whole.Read(p)
		return n
	}
	return c.r.payloadNow(p, c.arrived.read)
}

// arrived is a read that does not wait: it reads what is in a socket.
type arrived struct {
	socket syscall.RawConn
	f      func(fd uintptr) bool
	read   func(p []byte) (n int)

	p []byte
	n int
}

func (a *arrived) init(socket syscall.RawConn) {
	a.socket = socket
	a.f = func(fd uintptr) bool {
		err := error(unix.EINTR)
		for err == unix.EINTR {
			a.n, err = unix.Read(int(fd), a.p)
		}
		a.n = max(a.n, 0)
		return true // whatever the result
	}
	a.read = func(p []byte) int {
		a.p, a.n = p, 0
		a.socket.Read(a.f)
		a.p = nil
		return a.n
	}
}

// attempt is a write that does not wait: it writes as much as a socket has room for.
type attempt struct {
	socket syscall.RawConn
	f      func(fd uintptr) bool

	pieces [][]byte
	n      int
	err    error
}

func (a *attempt) init(socket syscall.RawConn) {
	a.socket = socket
	a.f = func(fd uintptr) bool {
		a.err = unix.EINTR
		for a.err == unix.EINTR {
			if len(a.pieces) == 1 { // cheaper
				a.n, a.err = unix.Write(int(fd), a.pieces[0])
			} else {
				a.n, a.err = unix.Writev(int(fd), a.pieces)
			}
		}
		return true // whatever the result
	}
}

// write returns how much of pieces the socket has taken.
func (a *attempt) write(pieces [][]byte) (n int, err error) {
	a.pieces = pieces
	err = a.socket.Write(a.f)
	a.pieces = nil
	switch {
	case err != nil:
		return 0, err
	case a.err == unix.EAGAIN:
		return 0, nil
	case a.err != nil:
		return 0, fmt.Errorf("writev: %w", a.err)
	}
	return a.n, nil
}
