package ws

import (
	"errors"
	"io"
	"math"

	"github.com/backdial/backdial/carrier"
)

// NextMessage implements [carrier.MessageConn]. If the message is a single frame, as
// almost all are, it returns after the frame's header, and Read reads from the network.
// Otherwise it returns when the whole message has arrived. After a message that is too
// large, the caller may still write its reason, and CloseWrite sends the status 1009.
func (c *conn) NextMessage(limit int) (size int, err error) {
	if err := c.unreadable(); err != nil {
		return 0, err
	}
	c.messages = true
	c.whole.drop()
	size, err = c.nextMessage(limit)
	if errors.Is(err, carrier.ErrMessageSize) {
		c.tooLarge.Store(true)
	}
	return size, c.keepErr(err)
}

func (c *conn) nextMessage(limit int) (size int, err error) {
	if err := c.dropMessage(); err != nil {
		return 0, err
	}
	if err := c.nextFrame(); err != nil {
		return 0, err
	}
	if c.r.left > int64(limit) {
		return 0, tooLarge(limit)
	}
	if c.r.fin {
		return int(c.r.left), nil
	}
	err = c.whole.fill(&pieces{c, limit, int64(limit)}, limit)
	return len(c.whole.rest), err
}

// dropMessage discards what is left of the current message.
func (c *conn) dropMessage() error {
	if c.r.left == 0 && c.r.fin {
		return nil
	}
	_, err := io.Copy(io.Discard, &pieces{c, 0, math.MaxInt64})
	return err
}

// pieces reads from the current message, which may have several frames.
type pieces struct {
	c     *conn
	limit int
	room  int64 // what is left of limit
}

func (m *pieces) Read(p []byte) (int, error) {
	r := &m.c.r
	for r.left == 0 {
		if r.fin {
			return 0, io.EOF
		}
		if err := m.c.nextFrame(); err != nil {
			return 0, err
		}
	}
	if r.left > m.room {
		return 0, tooLarge(m.limit)
	}
	n, err := r.payload(p)
	m.room -= int64(n)
	return n, err
}
