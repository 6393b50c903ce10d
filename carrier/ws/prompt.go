package ws

import (
	"fmt"
	"net"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/belowtls"
	"github.com/backdial/backdial/internal/nowait"
)

// promptConn is a conn on something that takes as much as there is room for, without
// waiting.
type promptConn struct{ *conn }

var (
	_ carrier.PromptWriter = promptConn{}
	_ carrier.PromptReader = promptConn{}
)

// A prompter writes and reads without waiting.
type prompter interface {
	// WriteNow returns how much of pieces it has taken.
	WriteNow(pieces [][]byte) (n int, err error)

	// Left reports whether something that was taken is not written yet.
	Left() bool

	// Flush writes that, and waits until it is written.
	Flush() error

	// ReadNow reads what has arrived.
	ReadNow(p []byte) (n int)
}

// prompted returns c, as a [carrier.PromptWriter] and [carrier.PromptReader] if possible.
// TLS can be both only on a connection that is made for it: by itself it waits until it
// has written what it has encrypted.
func prompted(c *conn) carrier.Conn {
	switch inner := c.r.conn.(type) {
	case *net.TCPConn:
		if socket := nowait.New(inner); socket != nil {
			c.w.prompt, c.r.socket = plain{socket}, socket
		}
	case *belowtls.TLS:
		if inner.IsPrompt() {
			c.w.prompt = secured{inner}
		}
	}
	if c.w.prompt == nil {
		return c
	}
	return promptConn{c}
}

// plain is a prompter without TLS.
type plain struct{ socket *nowait.Socket }

func (p plain) WriteNow(pieces [][]byte) (n int, err error) { return p.socket.Write(pieces) }
func (p plain) Left() bool                                  { return false }
func (p plain) Flush() error                                { return nil }
func (p plain) ReadNow(b []byte) (n int)                    { return p.socket.Read(b) }

// secured is a prompter with TLS.
type secured struct{ *belowtls.TLS }

// WriteNow implements prompter. It takes everything.
func (s secured) WriteNow(pieces [][]byte) (n int, err error) {
	for _, p := range pieces {
		if err == nil {
			err = s.TLS.WriteNow(p)
		}
		n += len(p)
	}
	return n, err
}

// WriteNow implements [carrier.PromptWriter].
func (c promptConn) WriteNow(messages ...[]byte) (kept bool, err error) {
	if c.closed.Load() {
		return false, fmt.Errorf("ws: write: %w", net.ErrClosed)
	}
	kept, err = c.w.try(messages)
	return kept, c.writeErr(err)
}

// Flush implements [carrier.PromptWriter].
func (c promptConn) Flush() error { return c.WriteMessages() }

// ReadNow implements [carrier.PromptReader].
func (c promptConn) ReadNow(p []byte) (n int) {
	if c.unreadable() != nil {
		return 0
	}
	if len(c.whole.rest) > 0 {
		n, _ = c.whole.Read(p)
		return n
	}
	return c.r.payloadNow(p, c.w.prompt)
}
