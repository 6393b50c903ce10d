package ws

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/backdial/backdial/internal/nowait"
)

// smallRead is what an idle connection holds for reading. Headers and small frames pass
// through it; larger payloads go from the socket straight to the caller, and the next header
// comes with them.
const smallRead = 2 << 10

// A reader takes frames off a connection, from one goroutine.
type reader struct {
	conn   net.Conn
	socket *nowait.Socket // conn, or nil if it is not a socket that can be read without waiting
	masked bool           // frames must be masked

	buf  []byte // nil before the first use
	rest []byte // read from conn, but not taken yet
	err  error  // of conn, which it may not repeat; or nil

	left int64  // bytes left in the current frame's payload
	key  uint32 // for them
	fin  bool   // the current frame is its message's last; true before the first frame
}

// peek returns the next n bytes without taking them. n is at most smallRead.
func (r *reader) peek(n int) ([]byte, error) {
	for len(r.rest) < n {
		if r.buf == nil {
			r.buf = make([]byte, smallRead)
		}
		r.rest = r.buf[:copy(r.buf, r.rest)] // it holds no other memory while it waits
		more, err := 0, r.err
		if err == nil {
			more, err = r.conn.Read(r.buf[len(r.rest):])
		}
		r.rest = r.buf[:len(r.rest)+more]
		if err != nil && len(r.rest) < n {
			return nil, cut(err)
		}
	}
	return r.rest[:n], nil
}

// cut returns err, or a clearer error, which does not match io.EOF: only a close frame
// ends a connection on purpose.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("connection cut: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// header takes the header of the next frame. The previous frame's payload has been taken
// whole.
func (r *reader) header() (header, error) {
	b, err := r.peek(2)
	if err != nil {
		return header{}, err
	}
	if err := r.check(b[0], b[1]); err != nil {
		return header{}, err
	}
	size := headerSize(b[1])
	if b, err = r.peek(size); err != nil {
		return header{}, err
	}
	r.rest = r.rest[size:]
	h, err := parseHeader(b)
	if err != nil {
		return header{}, err
	}
	if !h.op.isControl() {
		r.fin = h.fin
	}
	r.left, r.key = h.length, h.key
	return h, nil
}

// check returns what is wrong with a header that begins with these two bytes, after the
// frames before it.
func (r *reader) check(first, second byte) error {
	if err := checkStart(first, second); err != nil {
		return err
	}
	switch op := opcode(first & 0x0f); {
	case op == opContinuation && r.fin:
		return violation("a continuation without a message")
	case op != opContinuation && !op.isControl() && !r.fin:
		return violation("a new message in the middle of one")
	case r.masked && second&maskBit == 0:
		return violation("a client's frame is not masked")
	case !r.masked && second&maskBit != 0:
		return violation("a server's frame is masked")
	}
	return nil
}

// payload reads from the current frame, which is not at its end. p is not empty.
func (r *reader) payload(p []byte) (n int, err error) {
	p = p[:min(int64(len(p)), r.left)]
	if len(r.rest) == 0 && len(p) < smallRead {
		if _, err := r.peek(1); err != nil {
			return 0, err
		}
	}
	if len(r.rest) > 0 {
		n = copy(p, r.rest)
		r.rest = r.rest[n:]
	} else if n, err = r.read(p); n > 0 {
		err = nil // it will come again
	}
	if r.masked {
		r.key = mask(p[:n], p[:n], r.key)
	}
	r.left -= int64(n)
	return n, cut(err)
}

// payloadNow is payload, but only of what has arrived. conn reads that.
func (r *reader) payloadNow(p []byte, conn prompter) (n int) {
	p = p[:min(int64(len(p)), r.left)]
	if len(p) == 0 {
		return 0
	}
	if len(r.rest) > 0 {
		n = copy(p, r.rest)
		r.rest = r.rest[n:]
	} else if r.spills(p) {
		n, _ = r.socket.Spill(p, (*following)(r), false)
		n = min(n, len(p))
	} else {
		n = conn.ReadNow(p)
	}
	if r.masked {
		r.key = mask(p[:n], p[:n], r.key)
	}
	r.left -= int64(n)
	return n
}

// read is Read of conn, for the payload of the current frame.
func (r *reader) read(p []byte) (n int, err error) {
	if !r.spills(p) {
		return r.conn.Read(p)
	}
	n, err = r.socket.Spill(p, (*following)(r), true)
	return min(n, len(p)), err
}

// spills reports whether to read what follows p too: p is the rest of the current frame, and
// the next header would take a system call of its own.
func (r *reader) spills(p []byte) bool { return r.socket != nil && int64(len(p)) == r.left }

// following is a reader that has taken everything before the end of the current frame. It
// buffers what follows.
type following reader

// Take implements [nowait.Spill].
func (r *following) Take() []byte {
	if r.buf == nil {
		r.buf = make([]byte, smallRead)
	}
	return r.buf
}

// Done implements [nowait.Spill].
func (r *following) Done(n int) { r.rest = r.buf[:n] }

// controlPayload takes the payload of a control frame. It is valid until the next call of
// any method.
func (r *reader) controlPayload() ([]byte, error) {
	p, err := r.peek(int(r.left))
	if err != nil {
		return nil, err
	}
	if r.masked {
		mask(p, p, r.key)
	}
	r.rest, r.left = r.rest[len(p):], 0
	return p, nil
}
