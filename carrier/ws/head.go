package ws

import (
	"bytes"
	"net"
)

// A headConn is a connection to a server that is about to answer a handshake. The
// answer's reader is buffered, and would also take what follows the answer. So a Read
// stops at the blank line that ends the answer's header. Later Reads, for instance of a
// body, return the rest.
type headConn struct {
	net.Conn
	last [2]byte // of the header so far
	over bool    // the header is complete
	rest []byte  // read after the header
}

func (c *headConn) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if c.over {
		return n, err
	}
	for i, b := range p[:n] {
		if c.over = b == '\n' && (c.last[1] == '\n' || c.last == [2]byte{'\n', '\r'}); c.over {
			c.rest = bytes.Clone(p[i+1 : n])
			return i + 1, nil
		}
		c.last = [2]byte{c.last[1], b}
	}
	return n, err
}
