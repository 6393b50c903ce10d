// Package belowtls is a connection for TLS to run on. By itself, package crypto/tls reads
// and writes a record of at most 16 KiB with each system call, and its Write waits until
// the socket has taken what it has encrypted. On a [Conn] it writes into memory, from
// which several records leave at once, and reads from what has arrived meanwhile. So TLS
// too can write and read without waiting.
//
// Before [Conn.Secure] a Conn only passes everything on: the TLS handshake is not
// affected, nor are an HTTP server's requests.
package belowtls

import (
	"errors"
	"net"
	"os"
	"sync"

	"github.com/backdial/backdial/internal/nowait"
)

const (
	// atOnce is how many bytes are encrypted before they are written, at most.
	atOnce = 72 << 10

	// maxPending bounds what is encrypted and not written. It has room for atOnce bytes
	// with the headers of their records, and for what TLS itself has to say.
	maxPending = 96 << 10

	// spillSize is how much is read beyond what TLS has asked for.
	spillSize = 48 << 10
)

var errUnread = errors.New("the peer makes TLS say more than it reads")

// A Conn is what TLS reads from and writes to.
type Conn struct {
	net.Conn
	socket  *nowait.Socket // Conn, or nil if every call may wait
	gathers bool           // set by Secure, before which one goroutine uses the Conn

	// For the goroutine that reads.
	soon  bool    // Read must not wait
	spill *buffer // holds rest; or nil
	rest  []byte  // read, but not taken by TLS yet

	mu      sync.Mutex // guards below; held while writing only if that does not wait
	busy    bool       // a goroutine gathers or writes: it takes along what TLS adds
	pending *buffer    // encrypted, not written; or nil
	written int        // how much of pending is written
	err     error      // why nothing more can be written
}

// New returns a Conn on conn.
func New(conn net.Conn) *Conn { return &Conn{Conn: conn} }

// A buffer is memory for encrypted bytes. An idle connection holds none.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, maxPending)} }}

func (b *buffer) free() {
	b.b = b.b[:0]
	buffers.Put(b)
}

// Read is called by TLS.
func (c *Conn) Read(p []byte) (n int, err error) {
	switch {
	case len(c.rest) > 0:
		n = copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.spill.free()
			c.rest, c.spill = nil, nil
		}
		return n, nil
	case !c.gathers || c.socket == nil:
		return c.Conn.Read(p)
	}
	n, err = c.socket.Spill(p, (*spilling)(c), !c.soon)
	if n == 0 && err == nil {
		return 0, os.ErrDeadlineExceeded // after which TLS can go on
	}
	return min(n, len(p)), err
}

// spilling is a Conn whose reads fill a buffer beside the one that TLS has.
type spilling Conn

// Take implements [nowait.Spill].
func (c *spilling) Take() []byte {
	c.spill = buffers.Get().(*buffer)
	return c.spill.b[:spillSize]
}

// Done implements [nowait.Spill].
func (c *spilling) Done(n int) {
	if n > 0 {
		c.rest = c.spill.b[:n]
		return
	}
	c.spill.free()
	c.spill = nil
}

// Write is called by TLS: by the goroutine that writes and, for alerts and new keys, by
// the one that reads.
func (c *Conn) Write(p []byte) (n int, err error) {
	if !c.gathers {
		return c.Conn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if c.pending == nil {
		c.pending = buffers.Get().(*buffer)
	}
	if len(c.pending.b)+len(p) > maxPending {
		c.err = errUnread
		return 0, c.err
	}
	c.pending.b = append(c.pending.b, p...)
	if !c.busy {
		c.writeLocked(c.socket == nil)
	}
	return len(p), c.err
}

// gather announces that the caller is about to make TLS write, and then to call flush.
func (c *Conn) gather() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = true
}

// flush writes what TLS has written, and waits for that or, if wait is false, writes as
// much as there is room for.
func (c *Conn) flush(wait bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending != nil && c.err == nil && wait {
		b, written := c.pending, c.written
		c.pending, c.written = nil, 0
		c.mu.Unlock()
		_, err := c.Conn.Write(b.b[written:])
		b.free()
		c.mu.Lock()
		c.fail(err)
	}
	c.busy = false
	c.writeLocked(false)
	return c.err
}

// writeLocked writes what is pending, as far as there is room or, if wait says so, all of
// it.
func (c *Conn) writeLocked(wait bool) {
	if c.pending == nil || c.err != nil {
		return
	}
	n, err := 0, error(nil)
	if rest := c.pending.b[c.written:]; wait {
		n, err = c.Conn.Write(rest)
	} else {
		n, err = c.socket.Write([][]byte{rest})
	}
	c.written += n
	c.fail(err)
	if c.written == len(c.pending.b) {
		c.pending.free()
		c.pending, c.written = nil, 0
	}
}

func (c *Conn) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// left reports whether anything is encrypted and not written.
func (c *Conn) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending != nil
}
