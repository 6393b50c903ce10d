package mem

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/backdial/backdial/carrier"
)

var (
	_ carrier.Conn        = (*conn)(nil)
	_ carrier.CloseWriter = (*conn)(nil)
)

// conn is one end of a pipe.
type conn struct {
	in, out       *direction
	local, remote net.Addr
	protocol      string
}

// newPipe returns the two ends of a connection.
func newPipe(protocol string, server, client net.Addr) (s, c *conn) {
	up, down := newDirection(), newDirection()
	return &conn{in: up, out: down, local: server, remote: client, protocol: protocol},
		&conn{in: down, out: up, local: client, remote: server, protocol: protocol}
}

func (c *conn) Protocol() string     { return c.protocol }
func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite ends this end's direction.
func (c *conn) CloseWrite() error { return c.out.finish() }

// Close ends both directions. The peer still gets what was written.
func (c *conn) Close() error {
	c.in.closeReader()
	c.out.closeWriter()
	return nil
}

var errNoDeadline = fmt.Errorf("mem: %w", os.ErrNoDeadline)

// SetDeadline is not supported. Its error matches [os.ErrNoDeadline].
func (*conn) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not supported, like SetDeadline.
func (*conn) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not supported, like SetDeadline.
func (*conn) SetWriteDeadline(time.Time) error { return errNoDeadline }
