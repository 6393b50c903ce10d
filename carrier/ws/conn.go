package ws

import (
	"errors"
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

// conn is a WebSocket connection.
type conn struct {
	ws     *websocket.Conn
	raw    net.Conn // carries ws; closing it never waits
	closed atomic.Bool

	// For the goroutine that reads.
	message io.Reader // nil between messages
	readErr error     // the first, and from then on the only one
	whole   *whole    // what NextMessage has read; nil before the first call
}

func newConn(ws *websocket.Conn, raw net.Conn) *conn {
	ws.SetCloseHandler(func(status int, _ string) error {
		if !onPurpose(status) {
			sendClose(ws, status)
		}
		// Otherwise CloseWrite answers, once this end is done too: nothing
		// can be sent after a close frame.
		return nil
	})
	return &conn{ws: ws, raw: raw}
}

// onPurpose reports whether a close frame's status says that all is well.
func onPurpose(status int) bool {
	return status == websocket.CloseNormalClosure || status == websocket.CloseGoingAway
}

func sendClose(ws *websocket.Conn, status int) error {
	frame := websocket.FormatCloseMessage(status, "")
	return ws.WriteControl(websocket.CloseMessage, frame, time.Now().Add(controlWait))
}

func (c *conn) Protocol() string     { return c.ws.Subprotocol() }
func (c *conn) LocalAddr() net.Addr  { return c.ws.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.ws.RemoteAddr() }

func (c *conn) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, fmt.Errorf("ws: read: %w", net.ErrClosed)
	}
	if c.readErr != nil {
		return 0, c.readErr
	}
	if c.whole != nil {
		return c.whole.Read(p)
	}
	n, err := c.read(p)
	return n, c.keepErr(err)
}

// keepErr notes that reading has failed with err, if it has, and returns what the
// caller is told.
func (c *conn) keepErr(err error) error {
	switch {
	case err == nil, err == io.EOF:
	case c.closed.Load():
		err = fmt.Errorf("ws: read: %w", net.ErrClosed)
	default:
		err = fmt.Errorf("ws: read: %w", err)
	}
	c.readErr = err
	return err
}

// read reads from the current message, or from the next one that is not empty.
func (c *conn) read(p []byte) (int, error) {
	for {
		if c.message == nil {
			if err := c.nextMessage(); err != nil {
				return 0, err
			}
		}
		n, err := c.message.Read(p)
		if err == io.EOF {
			c.message, err = nil, nil
		}
		if err != nil {
			return n, cause(err)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

func (c *conn) nextMessage() error {
	kind, r, err := c.ws.NextReader()
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok && onPurpose(closed.Code) {
		return io.EOF
	}
	if err != nil {
		return cause(err)
	}
	if kind != websocket.BinaryMessage {
		sendClose(c.ws, websocket.CloseUnsupportedData)
		return errors.New("peer sent a text message")
	}
	c.message = r
	return nil
}

// cause returns err, or a clearer one, that does not match io.EOF.
func cause(err error) error {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code != websocket.CloseAbnormalClosure {
		return fmt.Errorf("peer closed with status %d %q", closed.Code, closed.Text)
	} else if ok || errors.Is(err, io.EOF) {
		return fmt.Errorf("connection cut: %w", io.ErrUnexpectedEOF)
	}
	return err
}

func (c *conn) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, fmt.Errorf("ws: write: %w", net.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		if c.closed.Load() {
			err = net.ErrClosed
		}
		return 0, fmt.Errorf("ws: write: %w", err)
	}
	return len(p), nil
}

// CloseWrite sends a close frame, without waiting for the peer's. It fails if
// the peer reads so little that there is no room to send one for a second.
func (c *conn) CloseWrite() error {
	err := sendClose(c.ws, websocket.CloseNormalClosure)
	if err == nil || errors.Is(err, websocket.ErrCloseSent) {
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

var errNoDeadline = fmt.Errorf("ws: %w", os.ErrNoDeadline)

// SetDeadline is not supported: an expired deadline would leave half a frame
// behind. Its error matches [os.ErrNoDeadline].
func (*conn) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not supported, as SetDeadline.
func (*conn) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not supported, as SetDeadline.
func (*conn) SetWriteDeadline(time.Time) error { return errNoDeadline }
