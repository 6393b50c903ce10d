package ws

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Arrive implements [carrier.PromptReader].
func (c promptConn) Arrive(wait bool) (whole bool) {
	r := &c.r
	if c.unreadable() != nil || r.left > 0 || !r.fin || len(c.whole.rest) > 0 {
		return false
	}
	if len(r.rest) == 0 && wait {
		if r.buf == nil {
			r.buf = make([]byte, smallRead)
		}
		n, err := c.arrival.await(r.conn, r.buf)
		r.rest, r.err = r.buf[:n], err
	}
	return r.holdsMessage()
}

// Interrupt implements [carrier.PromptReader].
func (c promptConn) Interrupt() { c.arrival.interrupt(c.r.conn) }

// holdsMessage reports whether the next frame is a message, and has been read from the
// connection.
func (r *reader) holdsMessage() bool {
	if len(r.rest) < 2 || opcode(r.rest[0]) != opBinary|finBit {
		return false
	}
	size := headerSize(r.rest[1])
	if len(r.rest) < size {
		return false
	}
	h, err := parseHeader(r.rest[:size])
	return err == nil && h.length <= int64(len(r.rest)-size)
}

// arrival is a read that can be interrupted as long as it has read nothing. Everything
// else that reads the connection must not be, so the deadline that interrupts never outlives
// the read. TLS keeps a part of a record that has arrived before a deadline.
type arrival struct {
	mu      sync.Mutex // guards below
	waiting bool
	asked   bool // interrupt was called
}

// await is Read, which returns nothing if it is interrupted.
func (a *arrival) await(conn net.Conn, p []byte) (n int, err error) {
	if !a.begin() {
		return 0, nil
	}
	n, err = conn.Read(p)
	if a.end(conn) && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n, err
}

// begin reports whether to read.
func (a *arrival) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked {
		a.asked = false
		return false
	}
	a.waiting = true
	return true
}

// end reports whether the read was interrupted.
func (a *arrival) end(conn net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	interrupted := a.asked
	a.waiting, a.asked = false, false
	if interrupted {
		conn.SetReadDeadline(time.Time{})
	}
	return interrupted
}

func (a *arrival) interrupt(conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting && !a.asked {
		conn.SetReadDeadline(time.Unix(1, 0)) // long ago
	}
	a.asked = true
}
