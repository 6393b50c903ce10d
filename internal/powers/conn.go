package powers

import (
	"net"

	"github.com/backdial/backdial/carrier"
)

// A Conn holds the optional methods of a [carrier.Conn]. A nil field is a power that the
// connection does not have. [carrier.StreamConn] is not among them: only package nativemux
// asks for it, and nothing wraps a connection that has streams.
type Conn struct {
	CloseWriter  carrier.CloseWriter
	Messenger    Messenger    // of carrier.MessageConn
	PromptWriter PromptWriter // of carrier.PromptWriter
	PromptReader PromptReader // of carrier.PromptReader
}

// A Messenger has what [carrier.MessageConn] adds to a connection.
type Messenger interface {
	NextMessage(limit int) (size int, err error)
	WriteMessages(messages ...[]byte) error
	WriteLast(messages ...[]byte) error
}

// A PromptWriter has what [carrier.PromptWriter] adds to a connection.
type PromptWriter interface {
	WriteNow(messages ...[]byte) (kept bool, err error)
	Flush() error
}

// A PromptReader has what [carrier.PromptReader] adds to a connection.
type PromptReader interface {
	ReadNow(p []byte) (n int)
	Arrive(wait bool) (whole bool)
	Interrupt()
}

// OfConn returns the powers of conn. Only a [carrier.Conn] has any but CloseWriter.
func OfConn(conn net.Conn) (p Conn) {
	if w, ok := conn.(carrier.CloseWriter); ok {
		p.CloseWriter = w
	}
	if m, ok := conn.(carrier.MessageConn); ok {
		p.Messenger = m
	}
	if w, ok := conn.(carrier.PromptWriter); ok {
		p.PromptWriter = w
	}
	if r, ok := conn.(carrier.PromptReader); ok {
		p.PromptReader = r
	}
	return p
}

// Wrap returns conn with the powers p. Powers that conn has itself are hidden.
func (p Conn) Wrap(conn carrier.Conn) carrier.Conn {
	type (
		w = carrier.CloseWriter
		m = Messenger
		n = PromptWriter
		r = PromptReader
	)
	switch bits(p.CloseWriter != nil, p.Messenger != nil, p.PromptWriter != nil, p.PromptReader != nil) {
	case 0b0001:
		return &struct {
			carrier.Conn
			r
		}{conn, p.PromptReader}
	case 0b0010:
		return &struct {
			carrier.Conn
			n
		}{conn, p.PromptWriter}
	case 0b0011:
		return &struct {
			carrier.Conn
			n
			r
		}{conn, p.PromptWriter, p.PromptReader}
	case 0b0100:
		return &struct {
			carrier.Conn
			m
		}{conn, p.Messenger}
	case 0b0101:
		return &struct {
			carrier.Conn
			m
			r
		}{conn, p.Messenger, p.PromptReader}
	case 0b0110:
		return &struct {
			carrier.Conn
			m
			n
		}{conn, p.Messenger, p.PromptWriter}
	case 0b0111:
		return &struct {
			carrier.Conn
			m
			n
			r
		}{conn, p.Messenger, p.PromptWriter, p.PromptReader}
	case 0b1000:
		return &struct {
			carrier.Conn
			w
		}{conn, p.CloseWriter}
	case 0b1001:
		return &struct {
			carrier.Conn
			w
			r
		}{conn, p.CloseWriter, p.PromptReader}
	case 0b1010:
		return &struct {
			carrier.Conn
			w
			n
		}{conn, p.CloseWriter, p.PromptWriter}
	case 0b1011:
		return &struct {
			carrier.Conn
			w
			n
			r
		}{conn, p.CloseWriter, p.PromptWriter, p.PromptReader}
	case 0b1100:
		return &struct {
			carrier.Conn
			w
			m
		}{conn, p.CloseWriter, p.Messenger}
	case 0b1101:
		return &struct {
			carrier.Conn
			w
			m
			r
		}{conn, p.CloseWriter, p.Messenger, p.PromptReader}
	case 0b1110:
		return &struct {
			carrier.Conn
			w
			m
			n
		}{conn, p.CloseWriter, p.Messenger, p.PromptWriter}
	case 0b1111:
		return &struct {
			carrier.Conn
			w
			m
			n
			r
		}{conn, p.CloseWriter, p.Messenger, p.PromptWriter, p.PromptReader}
	}
	return &struct{ carrier.Conn }{conn}
}
