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
	"github.com/backdial/backdial/internal/chaff"
)

// controlWait bounds how long a close frame waits for room in the send buffer if the peer
// does not read.
const controlWait = time.Second

var (
	_ carrier.MessageConn = (*conn)(nil)
	_ carrier.CloseWriter = (*conn)(nil)
)

// A conn is a WebSocket connection after its handshake.
type conn struct {
	noDeadlines
	raw      net.Conn // the socket; closing it never waits
	protocol string
	closed   atomic.Bool
	tooLarge atomic.Bool // a message was too large

	w       writer
	r       reader
	arrival arrival

	// For the goroutine that reads.
	readErr  error // the first, and from then on the only one
	messages bool  // NextMessage has been called
	whole    whole // a message that arrived in pieces
	chaff    chaff.Counter
}

// newConn returns the connection of a client or a server. Frames travel over inner, which is
// raw, or TLS over it. early has been read from inner already.
func newConn(inner, raw net.Conn, protocol string, isClient bool, early []byte) *conn {
	return &conn{
		raw:      raw,
		protocol: protocol,
		w:        writer{conn: inner, masks: isClient, turn: make(chan struct{}, 1)},
		r:        reader{conn: inner, masked: !isClient, rest: early, fin: true},
	}
}

func (c *conn) Protocol() string     { return c.protocol }
func (c *conn) LocalAddr() net.Addr  { return c.raw.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

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

// unreadable returns why nothing more can be read, or nil.
func (c *conn) unreadable() error {
	if c.closed.Load() {
		return fmt.Errorf("ws: read: %w", net.ErrClosed)
	}
	return c.readErr
}

// keepErr handles an error of reading: it keeps err, tells the peer if the peer is to
// blame, and returns the error for the caller.
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

// writeErr returns the error for the caller of a write that failed with err.
func (c *conn) writeErr(err error) error {
	if err == nil {
		return nil
	}
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return fmt.Errorf("ws: write: %w", err)
}

// WriteLast implements [carrier.MessageConn].
func (c *conn) WriteLast(messages ...[]byte) error {
	if c.closed.Load() {
		return fmt.Errorf("ws: write: %w", net.ErrClosed)
	}
	return c.writeErr(c.w.writeLast(c.status(), messages))
}

// status returns the status code for this end's close frame.
func (c *conn) status() int {
	if c.tooLarge.Load() {
		return websocket.CloseMessageTooBig
	}
	return websocket.CloseNormalClosure
}

// CloseWrite sends a close frame, without waiting for the peer's. It fails if the peer
// reads so little that for a second there is no room for one.
func (c *conn) CloseWrite() error {
	err := c.w.sendClose(c.status(), "")
	if err == nil || err == errCloseSent {
		return nil
	}
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return fmt.Errorf("ws: close write: %w", err)
}

// Close cuts the connection. What was written before CloseWrite still reaches the peer,
// unless the peer sends more: TCP discards it if data arrives that nobody will read.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.raw.Close()
}

// noDeadlines has the deadline methods of a connection without deadlines.
type noDeadlines struct{}

var errNoDeadline = fmt.Errorf("ws: %w", os.ErrNoDeadline)

// SetDeadline is not supported: an expired deadline would leave half a frame
// behind. Its error matches [os.ErrNoDeadline].
func (noDeadlines) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not supported, like SetDeadline.
func (noDeadlines) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not supported, like SetDeadline.
func (noDeadlines) SetWriteDeadline(time.Time) error { return errNoDeadline }
