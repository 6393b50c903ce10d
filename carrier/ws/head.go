package ws

import (
	"bytes"
	"net"
)

// A headConn is a connection to a server that is going to answer a handshake. Its reader
// has a buffer, and would take what follows the answer into it. So a Read gives nothing
// beyond the blank line that ends the answer's header; whoever reads on, because there
// is a body, gets the rest.
type headConn struct {
	net.Conn
	last [2]byte // of the header so far
	over bool    // the header is complete
	rest []byte  // what has been read after it
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
