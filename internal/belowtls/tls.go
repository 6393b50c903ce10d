package belowtls

import (
	"cmp"
	"crypto/tls"
	"net"

	"github.com/backdial/backdial/internal/nowait"
)

// TLS is a TLS connection on a [Conn]. One goroutine at a time writes, and one reads.
type TLS struct {
	*tls.Conn
	below *Conn
}

// Secure returns secured, which runs on c, has finished its handshake, and will not
// renegotiate. From now on c writes to socket and reads from it: c was made on it, or on
// a wrapper that is no longer needed.
func (c *Conn) Secure(secured *tls.Conn, socket net.Conn) *TLS {
	c.Conn, c.socket = socket, nowait.New(socket)
	c.gathers = true
	return &TLS{secured, c}
}

// Of returns secured if it runs on a [Conn] of [NewListener].
func Of(secured *tls.Conn) (t *TLS, ok bool) {
	c, ok := secured.NetConn().(*Conn)
	if !ok {
		return nil, false
	}
	return c.Secure(secured, c.Conn), true
}

// IsPrompt reports whether WriteNow and ReadNow can be called.
func (t *TLS) IsPrompt() bool { return t.below.socket != nil }

// Write writes p after what is left, and waits until the socket has taken all of it.
func (t *TLS) Write(p []byte) (n int, err error) {
	for err = t.Flush(); len(p) > 0 && err == nil; {
		var m int
		m, err = t.write(p[:min(len(p), atOnce)], true)
		n, p = n+m, p[m:]
	}
	return n, err
}

// WriteNow takes p, of at most 72 KiB, and writes as much as there is room for. It is
// called only if nothing is left.
func (t *TLS) WriteNow(p []byte) error {
	_, err := t.write(p, false)
	return err
}

func (t *TLS) write(p []byte, wait bool) (n int, err error) {
	t.below.gather()
	n, err = t.Conn.Write(p)
	return n, cmp.Or(err, t.below.flush(wait))
}

// Left reports whether something that was taken is not written yet.
func (t *TLS) Left() bool { return t.below.left() }

// Flush writes what is left, and waits until the socket has taken it.
func (t *TLS) Flush() error { return t.below.flush(true) }

// ReadNow is Read of what has arrived. It returns 0 if nothing has, or if Read would fail:
// Read tells which.
func (t *TLS) ReadNow(p []byte) (n int) {
	t.below.soon = true
	n, _ = t.Conn.Read(p)
	t.below.soon = false
	return n
}
