package ws

import (
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/backdial/backdial/carrier"
)

// The WebSocket library does not tell how long a message is before its end. So it is
// read whole.

// A whole is a message that is read from.
type whole struct {
	rest   []byte
	buffer *[]byte // holds rest; nil if there is none
}

// Buffers that messages are read into.
var wholes = sync.Pool{New: func() any {
	b := make([]byte, readBuffer)
	return &b
}}

// maxPooled is how large a buffer is kept for other messages.
const maxPooled = 128 << 10

func (w *whole) Read(p []byte) (int, error) {
	if len(w.rest) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	if len(w.rest) == 0 {
		w.drop()
	}
	return n, nil
}

// drop gives the buffer back, which an idle connection has none of.
func (w *whole) drop() {
	if w.buffer != nil && len(*w.buffer) <= maxPooled {
		wholes.Put(w.buffer)
	}
	w.rest, w.buffer = nil, nil
}

// fill reads the message that r has, of up to limit bytes.
func (w *whole) fill(r io.Reader, limit int) error {
	w.buffer = wholes.Get().(*[]byte)
	for n := 0; ; {
		if n > limit {
			w.drop()
			return fmt.Errorf("%w: more than %d bytes", carrier.ErrMessageSize, limit)
		}
		if n == len(*w.buffer) {
			*w.buffer = append(*w.buffer, make([]byte, n)...)
		}
		m, err := r.Read((*w.buffer)[n:min(len(*w.buffer), limit+1)])
		n += m
		if err == io.EOF && n <= limit {
			w.rest = (*w.buffer)[:n]
			if n == 0 {
				w.drop()
			}
			return nil
		}
		if err != nil && err != io.EOF {
			w.drop()
			return cause(err)
		}
	}
}

// NextMessage implements [carrier.MessageConn]. It returns when the message has arrived
// whole.
func (c *conn) NextMessage(limit int) (size int, err error) {
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
	err = c.whole.fill(c.message, limit)
	c.message = nil
	return len(c.whole.rest), c.keepErr(err)
}

// WriteMessages implements [carrier.MessageConn].
func (c *conn) WriteMessages(messages ...[]byte) error {
	for _, m := range messages {
		if _, err := c.Write(m); err != nil {
			return err
		}
	}
	return nil
}
