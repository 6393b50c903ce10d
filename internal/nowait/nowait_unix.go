//go:build linux || darwin

package nowait

import (
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Socket is a TCP connection that can be read and written without waiting. One goroutine
// at a time reads, and one writes.
type Socket struct {
	raw syscall.RawConn
	out writing
	in  reading
}

// New returns conn as a Socket, or nil if it is not one.
func New(conn net.Conn) *Socket {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	s := &Socket{raw: raw}
	s.out.init()
	s.in.init()
	return s
}

// Write returns how much of pieces the socket has taken at once.
func (s *Socket) Write(pieces [][]byte) (n int, err error) { return s.out.write(s.raw, pieces) }

// Read returns how much has arrived and been read into p. It returns 0 if a Read of the
// connection would wait or fail.
func (s *Socket) Read(p []byte) (n int) {
	n, _ = s.in.read(s.raw, p, nil, false)
	return max(n, 0)
}

// Spill reads into p, and into more what p has no room for, so n may be larger than p. If
// nothing has arrived it waits, or returns 0 if wait is false.
func (s *Socket) Spill(p []byte, more Spill, wait bool) (n int, err error) {
	return s.in.read(s.raw, p, more, wait)
}

// reading is a read from a socket.
type reading struct {
	f func(fd uintptr) bool

	p    []byte
	more Spill
	wait bool
	both *[2][]byte // p and what more takes; made by the first Spill
	n    int
	err  error
}

func (r *reading) init() {
	r.f = func(fd uintptr) bool {
		r.once(int(fd))
		return r.err != unix.EAGAIN || !r.wait
	}
}

func (r *reading) once(fd int) {
	r.err = unix.EINTR
	if r.more == nil { // cheaper
		for r.err == unix.EINTR {
			r.n, r.err = unix.Read(fd, r.p)
		}
		return
	}
	if r.both == nil {
		r.both = new([2][]byte)
	}
	*r.both = [2][]byte{r.p, r.more.Take()}
	for r.err == unix.EINTR {
		r.n, r.err = unix.Readv(fd, r.both[:])
	}
	clear(r.both[:])
	r.more.Done(max(r.n-len(r.p), 0))
}

func (r *reading) read(raw syscall.RawConn, p []byte, more Spill, wait bool) (n int, err error) {
	r.p, r.more, r.wait = p, more, wait
	r.n, r.err = 0, nil
	err = raw.Read(r.f)
	r.p, r.more = nil, nil
	switch {
	case err != nil:
		return 0, err
	case r.err == unix.EAGAIN:
		return 0, nil
	case r.err != nil:
		return 0, fmt.Errorf("read: %w", r.err)
	case r.n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// writing is a write to a socket.
type writing struct {
	f func(fd uintptr) bool

	pieces [][]byte
	n      int
	err    error
}

func (w *writing) init() {
	w.f = func(fd uintptr) bool {
		w.err = unix.EINTR
		for w.err == unix.EINTR {
			if len(w.pieces) == 1 { // cheaper
				w.n, w.err = unix.Write(int(fd), w.pieces[0])
			} else {
				w.n, w.err = unix.Writev(int(fd), w.pieces)
			}
		}
		return true // whatever the result
	}
}

func (w *writing) write(raw syscall.RawConn, pieces [][]byte) (n int, err error) {
	w.pieces = pieces
	err = raw.Write(w.f)
	w.pieces = nil
	switch {
	case err != nil:
		return 0, err
	case w.err == unix.EAGAIN:
		return 0, nil
	case w.err != nil:
		return 0, fmt.Errorf("write: %w", w.err)
	}
	return w.n, nil
}
