package ws

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
)

// controlWait bounds how long a close frame waits for room in the send buffer
// of a connection whose peer does not read.
const controlWait = time.Second

var (
	_ carrier.MessageConn = (*conn)(nil)
	_ carrier.CloseWriter = (*conn)(nil)
)

// A conn is a WebSocket connection after its handshake.
type conn struct {
	noDeadlines
	raw      net.Conn // closing it never waits
	net      net.Conn // what frames are on: raw, or TLS over it
	protocol string
	closed   atomic.Bool
	tooLarge atomic.Bool // a message was

	w writer
	r reader

	// For the goroutine that reads.
	readErr  error // the first, and from then on the only one
	messages bool  // NextMessage has been called
	whole    whole // a message that came in pieces
}

// newConn returns the connection of a client or a server. early is what has been read
// from inner already.
func newConn(inner, raw net.Conn, protocol string, isClient bool, early []byte) *conn {
	return &conn{
		raw:      raw,
		net:      inner,
		protocol: protocol,
		w:        writer{conn: inner, masks: isClient, turn: make(chan struct{}, 1)},
		r:        reader{conn: inner, masked: !isClient, rest: early, fin: true},
	}
}

func (c *conn) Protocol() string     { return c.protocol }
func (c *conn) LocalAddr() net.Addr  { return c.net.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.net.RemoteAddr() }

func (c *conn) Read(p []byte) (int, error) {
	if err := c.unreadable(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.whole.rest) > 0 {
		return c.whole.Read(p)
	}
	for c.r.left == 0 {
		if c.messages {
			return 0, io.EOF
		}
		if err := c.nextFrame(); err != nil {
			return 0, c.keepErr(err)
		}
	}
	n, err := c.r.payload(p)
	return n, c.keepErr(err)
}

// unreadable returns why nothing can be read any more, or nil.
func (c *conn) unreadable() error {
	if c.closed.Load() {
		return fmt.Errorf("ws: read: %w", net.ErrClosed)
	}
	return c.readErr
}

// keepErr notes that reading has failed with err, if it has, tells the peer if it is to
// blame, and returns what the caller is told.
func (c *conn) keepErr(err error) error {
	if err == nil {
		return nil
	}
	c.tell(err)
	switch {
	case err == io.EOF:
	case c.closed.Load():
		err = fmt.Errorf("ws: read: %w", net.ErrClosed)
	default:
		err = fmt.Errorf("ws: read: %w", err)
	}
	c.readErr = err
	return err
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.WriteMessages(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteMessages implements [carrier.MessageConn].
func (c *conn) WriteMessages(messages ...[]byte) error {
	if c.closed.Load() {
		return fmt.Errorf("ws: write: %w", net.ErrClosed)
	}
	return c.writeErr(c.w.write(messages...))
}

// writeErr is what the caller is told of err.
func (c *conn) writeErr(err error) error {
	if err == nil {
		return nil
	}
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return fmt.Errorf("ws: write: %w", err)
}

// CloseWrite sends a close frame, without waiting for the peer's. It fails if
// the peer reads so little that there is no room to send one for a second.
func (c *conn) CloseWrite() error {
	status := websocket.CloseNormalClosure
	if c.tooLarge.Load() {
		status = websocket.CloseMessageTooBig
	}
	err := c.w.sendClose(status, "")
	if err == nil || err == errCloseSent {
		return nil
	}
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return fmt.Errorf("ws: close write: %w", err)
}

// Close cuts the connection. What was written before CloseWrite still reaches
// a peer that sends nothing more: TCP discards it if data arrives that nobody
// will read.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.raw.Close()
}

// noDeadlines are the methods of a connection that has none.
type noDeadlines struct{}

var errNoDeadline = fmt.Errorf("ws: %w", os.ErrNoDeadline)

// SetDeadline is not supported: an expired deadline would leave half a frame
// behind. Its error matches [os.ErrNoDeadline].
func (noDeadlines) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not supported, as SetDeadline.
func (noDeadlines) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not supported, as SetDeadline.
func (noDeadlines) SetWriteDeadline(time.Time) error { return errNoDeadline }
