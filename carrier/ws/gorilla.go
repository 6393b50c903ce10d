package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
)

const (
	// A client writes one frame per buffer, masked in place. Multiplexers write up to 64
	// KiB at once.
	writeBuffer = 64 << 10

	// Larger reads bypass the buffer, so it need only be large enough to make frame
	// headers cheap.
	readBuffer = 4 << 10
)

var (
	_ carrier.MessageConn = (*gorillaConn)(nil)
	_ carrier.CloseWriter = (*gorillaConn)(nil)
)

// gorillaConn is a WebSocket connection on which the library reads and writes the frames.
// See [WithGorillaFraming].
type gorillaConn struct {
	noDeadlines
	ws     *websocket.Conn
	raw    net.Conn // carries ws; closing it never waits
	closed atomic.Bool

	// For the goroutine that reads.
	message io.Reader // nil between messages
	readErr error     // the first, and from then on the only one
	whole   *whole    // the message of NextMessage; nil before its first call
}

func newGorillaConn(ws *websocket.Conn, raw net.Conn) *gorillaConn {
	ws.SetCloseHandler(func(status int, _ string) error {
		if !onPurpose(status) {
			sendClose(ws, status)
		}
		// CloseWrite answers otherwise, when this end is done too: nothing can be sent
		// after a close frame.
		return nil
	})
	return &gorillaConn{ws: ws, raw: raw}
}

// dialGorilla has the library do the handshake: it makes no connection without.
func (c *Carrier) dialGorilla(ctx context.Context, h *handshake, target *url.URL, r *carrier.Request) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{
		NetDialContext:    h.connect,
		NetDialTLSContext: h.connectTLS,
		ReadBufferSize:    readBuffer,
		WriteBufferSize:   writeBuffer,
		WriteBufferPool:   c.buffers, // a handshake takes none from it
		Subprotocols:      r.Protocols,
	}
	return dialer.DialContext(ctx, target.String(), requestHeader(r))
}

// upgradeGorilla is dialGorilla for a server.
func (c *Carrier) upgradeGorilla(w http.ResponseWriter, r *http.Request, protocol string, header http.Header) (*websocket.Conn, error) {
	u := websocket.Upgrader{
		HandshakeTimeout: c.answerTimeout(),
		CheckOrigin:      func(*http.Request) bool { return true }, // Upgrade has
		ReadBufferSize:   readBuffer,
		WriteBufferSize:  writeBuffer,
		WriteBufferPool:  c.buffers,
	}
	if protocol != "" {
		u.Subprotocols = []string{protocol}
	}
	return u.Upgrade(hijacker{w}, r, header)
}

func sendClose(ws *websocket.Conn, status int) error {
	frame := websocket.FormatCloseMessage(status, "")
	return ws.WriteControl(websocket.CloseMessage, frame, time.Now().Add(controlWait))
}

func (c *gorillaConn) Protocol() string     { return c.ws.Subprotocol() }
func (c *gorillaConn) LocalAddr() net.Addr  { return c.ws.LocalAddr() }
func (c *gorillaConn) RemoteAddr() net.Addr { return c.ws.RemoteAddr() }

func (c *gorillaConn) Read(p []byte) (int, error) {
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

// keepErr keeps err, the error of reading, and returns the error for the caller.
func (c *gorillaConn) keepErr(err error) error {
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

// read reads from the current message, or from the next non-empty one.
func (c *gorillaConn) read(p []byte) (int, error) {
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

func (c *gorillaConn) nextMessage() error {
	kind, r, err := c.ws.NextReader()
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok && onPurpose(closed.Code) {
		return io.EOF
	}
	if err != nil {
		return cause(err)
	}
	if kind != websocket.BinaryMessage {
		sendClose(c.ws, websocket.CloseUnsupportedData)
		return errText
	}
	c.message = r
	return nil
}

// cause returns err, or a clearer error, which does not match io.EOF.
func cause(err error) error {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code != websocket.CloseAbnormalClosure {
		return peerClosed(closed.Code, closed.Text)
	} else if ok {
		err = io.EOF
	}
	return cut(err)
}

func (c *gorillaConn) Write(p []byte) (int, error) {
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

// CloseWrite sends a close frame, without waiting for the peer's. It fails if the peer
// reads so little that for a second there is no room for one.
func (c *gorillaConn) CloseWrite() error {
	err := sendClose(c.ws, websocket.CloseNormalClosure)
	if err == nil || errors.Is(err, websocket.ErrCloseSent) {
		return nil
	}
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return fmt.Errorf("ws: close write: %w", err)
}

// Close cuts the connection. What was written before CloseWrite still reaches the peer,
// unless the peer sends more: TCP discards it if data arrives that nobody will read.
func (c *gorillaConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.raw.Close()
}

// NextMessage implements [carrier.MessageConn]. The library does not know the size of a
// message before its end, so NextMessage returns when the whole message has arrived.
func (c *gorillaConn) NextMessage(limit int) (size int, err error) {
	if c.closed.Load() {
		return 0, fmt.Errorf("ws: read: %w", net.ErrClosed)
	}
	if c.whole == nil {
		c.whole = new(whole)
	}
	c.whole.drop()
	if c.readErr != nil {
		return 0, c.readErr
	}
	if err := c.nextMessage(); err != nil {
		return 0, c.keepErr(err)
	}
	if err = c.whole.fill(c.message, limit); err != nil {
		err = cause(err)
	}
	c.message = nil
	return len(c.whole.rest), c.keepErr(err)
}

// WriteMessages implements [carrier.MessageConn].
func (c *gorillaConn) WriteMessages(messages ...[]byte) error {
	for _, m := range messages {
		if _, err := c.Write(m); err != nil {
			return err
		}
	}
	return nil
}

// WriteLast implements [carrier.MessageConn].
func (c *gorillaConn) WriteLast(messages ...[]byte) error {
	if err := c.WriteMessages(messages...); err != nil {
		return err
	}
	return c.CloseWrite()
}
