package smuxmux

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/engine"
)

// The frame header: version, command, length (2 bytes), stream id (4), all
// little endian.
const (
	version    = 2
	headerSize = 8
	creditSize = 8 // the payload of cmdUPD: consumed (4), window (4)
)

const (
	cmdSYN = 0 // opens a stream
	cmdFIN = 1 // ends a direction
	cmdPSH = 2 // data
	cmdNOP = 3 // keeps alive
	cmdUPD = 4 // extends the window
)

// The library ignores the stream id of a cmdNOP. We use it for these, with a value in the
// upper bits: the number of a ping, or the code of a farewell.
const (
	nopIdle   = 0
	nopPing   = 1
	nopPong   = 2
	nopGoAway = 3

	nopBits = 2
)

// messages is the stream whose data are messages. No end opens it, and the library
// ignores data for streams that are not open.
const messages = 0

// beyond is what a receiver adds to its consumed count to say that it reads no more. No
// window is that large, so the sender sees that more was consumed than it sent, and gives
// up: our sender as after a reset, the library's with ErrConsumed.
const beyond = 1 << 30

// wire is the frame format of smux, protocol version 2.
type wire struct{}

func (wire) Name() string { return name }

// Answers returns false: the library takes a ping for any other cmdNOP.
func (wire) Answers() bool { return false }

func (wire) Read(r *bufio.Reader) (engine.Frame, error) {
	// The first byte tells whether it makes sense to wait for the rest.
	h, err := r.Peek(1)
	if err != nil {
		return engine.Frame{}, err
	}
	if h[0] != version {
		return engine.Frame{}, fmt.Errorf("%w: frame of version %d instead of %d: the peer does not speak smux v2",
			mux.ErrProtocol, h[0], version)
	}
	if h, err = peek(r, headerSize); err != nil {
		return engine.Frame{}, err
	}
	cmd := h[1]
	length := binary.LittleEndian.Uint16(h[2:])
	f := engine.Frame{ID: binary.LittleEndian.Uint32(h[4:])}
	r.Discard(headerSize)
	if f.ID == messages && cmd != cmdPSH && cmd != cmdNOP {
		return f, fmt.Errorf("%w: command %d for stream %d, which is never open", mux.ErrProtocol, cmd, messages)
	}
	if length > 0 && cmd != cmdPSH && cmd != cmdUPD {
		return f, fmt.Errorf("%w: command %d with %d bytes of payload", mux.ErrProtocol, cmd, length)
	}
	switch cmd {
	case cmdSYN:
		f.Flags = engine.Open
	case cmdFIN:
		f.Flags = engine.Fin
	case cmdPSH:
		f.Length = int(length)
		if f.ID == messages {
			f.Kind = engine.Message
		}
	case cmdNOP:
		f.Kind, f.Value = fromNOP(f.ID)
	case cmdUPD:
		if length != creditSize {
			return f, fmt.Errorf("%w: window update of %d bytes instead of %d", mux.ErrProtocol, length, creditSize)
		}
		u, err := peek(r, creditSize)
		if err != nil {
			return f, err
		}
		f.Credit = engine.Credit{
			Absolute: true,
			Consumed: binary.LittleEndian.Uint32(u),
			Window:   binary.LittleEndian.Uint32(u[4:]),
		}
		r.Discard(creditSize)
	default:
		return f, fmt.Errorf("%w: unknown command %d", mux.ErrProtocol, cmd)
	}
	return f, nil
}

// peek returns the next n bytes of a frame that has begun.
func peek(r *bufio.Reader, n int) ([]byte, error) {
	b, err := r.Peek(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

func fromNOP(id uint32) (kind engine.Kind, value uint32) {
	value = id >> nopBits
	switch id % (1 << nopBits) {
	case nopPing:
		return engine.Ping, value
	case nopPong:
		return engine.Pong, value
	case nopGoAway:
		return engine.GoAway, value
	}
	return engine.Idle, 0
}

func (wire) Append(b []byte, f engine.Frame) []byte {
	switch f.Kind {
	case engine.OnStream:
		return appendStream(b, f)
	case engine.Ping:
		return appendHeader(b, cmdNOP, 0, f.Value<<nopBits|nopPing)
	case engine.Pong:
		return appendHeader(b, cmdNOP, 0, f.Value<<nopBits|nopPong)
	case engine.Idle:
		return appendHeader(b, cmdNOP, 0, nopIdle)
	case engine.GoAway:
		return appendHeader(b, cmdNOP, 0, f.Value<<nopBits|nopGoAway)
	case engine.Message:
		return appendHeader(b, cmdPSH, f.Length, messages)
	}
	return b
}

func appendStream(b []byte, f engine.Frame) []byte {
	switch {
	case f.Length > 0:
		return appendHeader(b, cmdPSH, f.Length, f.ID)
	case f.Flags&engine.Open != 0:
		b = appendHeader(b, cmdSYN, 0, f.ID)
		if f.Credit.Grant == 0 {
			return b
		}
		return appendCredit(b, f.ID, f.Credit.Consumed, f.Credit.Window)
	case f.Flags&engine.Reset != 0:
		// Stop comes first, so that the end of the data does not look like the end of a
		// complete stream.
		b = appendCredit(b, f.ID, f.Credit.Consumed+beyond, 0)
		return appendHeader(b, cmdFIN, 0, f.ID)
	case f.Flags&engine.Stray != 0:
		return b // the peer has got Stop
	}
	if f.Flags&engine.Fin != 0 {
		b = appendHeader(b, cmdFIN, 0, f.ID)
	}
	if f.Flags&engine.Stop != 0 {
		return appendCredit(b, f.ID, f.Credit.Consumed+beyond, 0)
	}
	if f.Flags&engine.Ack != 0 || f.Credit.Grant > 0 {
		return appendCredit(b, f.ID, f.Credit.Consumed, f.Credit.Window)
	}
	return b
}

func appendCredit(b []byte, id, consumed, window uint32) []byte {
	b = appendHeader(b, cmdUPD, creditSize, id)
	b = binary.LittleEndian.AppendUint32(b, consumed)
	return binary.LittleEndian.AppendUint32(b, window)
}

func appendHeader(b []byte, cmd byte, length int, id uint32) []byte {
	b = append(b, version, cmd)
	b = binary.LittleEndian.AppendUint16(b, uint16(length))
	return binary.LittleEndian.AppendUint32(b, id)
}
