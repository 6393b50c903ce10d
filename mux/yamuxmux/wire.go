package yamuxmux

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/engine"
)

// The frame header: version, type, flags (2 bytes), stream id (4), length (4),
// all big endian.
const (
	version    = 0
	headerSize = 12

	// maxLength is more than any window that we grant, and fits into an int.
	maxLength = 1 << 30
)

const (
	typeData         = 0 // length bytes follow
	typeWindowUpdate = 1 // length is the credit
	typePing         = 2 // length is opaque
	typeGoAway       = 3 // length is the code
)

// messages is the stream whose data are messages. No end opens it, and the library
// ignores data for streams that are not open.
const messages = 0

const (
	flagSYN = 1 << iota
	flagACK
	flagFIN
	flagRST
)

// wire is the frame format of yamux.
type wire struct{}

func (wire) Name() string { return name }

func (wire) Answers() bool { return true }

func (wire) Read(r *bufio.Reader) (engine.Frame, error) {
	// The first byte tells whether it makes sense to wait for the rest.
	h, err := r.Peek(1)
	if err != nil {
		return engine.Frame{}, err
	}
	if h[0] != version {
		return engine.Frame{}, fmt.Errorf("%w: frame of version %d instead of %d: the peer does not speak yamux",
			mux.ErrProtocol, h[0], version)
	}
	h, err = r.Peek(headerSize)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return engine.Frame{}, err
	}
	f, err := parse(h)
	r.Discard(headerSize)
	return f, err
}

func parse(h []byte) (engine.Frame, error) {
	typ := h[1]
	flags := binary.BigEndian.Uint16(h[2:])
	f := engine.Frame{ID: binary.BigEndian.Uint32(h[4:])}
	length := binary.BigEndian.Uint32(h[8:])
	switch typ {
	case typeData:
		if length > maxLength {
			return f, fmt.Errorf("%w: frame of %d bytes", mux.ErrProtocol, length)
		}
		f.Flags = fromFlags(flags)
		f.Length = int(length)
		if f.ID == messages && f.Flags == 0 {
			f.Kind = engine.Message
		}
	case typeWindowUpdate:
		f.Flags = fromFlags(flags)
		f.Credit.Grant = length
	case typePing:
		f.Kind, f.Value = engine.Ping, length
		if flags&flagACK != 0 {
			f.Kind = engine.Pong
		}
	case typeGoAway:
		f.Kind, f.Value = engine.GoAway, length
	default:
		return f, fmt.Errorf("%w: frame of unknown type %d", mux.ErrProtocol, typ)
	}
	if f.Kind == engine.OnStream && f.ID == 0 {
		return f, fmt.Errorf("%w: stream frame for stream 0", mux.ErrProtocol)
	}
	return f, nil
}

func fromFlags(flags uint16) (f engine.Flags) {
	if flags&flagSYN != 0 {
		f |= engine.Open
	}
	if flags&flagACK != 0 {
		f |= engine.Ack
	}
	if flags&flagFIN != 0 {
		f |= engine.Fin
	}
	if flags&flagRST != 0 {
		f |= engine.Reset
	}
	return f
}

func (wire) Append(b []byte, f engine.Frame) []byte {
	switch f.Kind {
	case engine.OnStream:
		return appendStream(b, f)
	case engine.Ping:
		return appendHeader(b, typePing, flagSYN, 0, f.Value)
	case engine.Pong:
		return appendHeader(b, typePing, flagACK, 0, f.Value)
	case engine.GoAway:
		return appendHeader(b, typeGoAway, 0, 0, f.Value)
	case engine.Message:
		return appendHeader(b, typeData, 0, messages, uint32(f.Length))
	case engine.Idle:
	}
	return b
}

// appendStream appends nothing for Stop: yamux has no such frame. A peer that goes on
// writing gets RST as the answer to a stray frame.
func appendStream(b []byte, f engine.Frame) []byte {
	var flags uint16
	if f.Flags&engine.Open != 0 {
		flags |= flagSYN
	}
	if f.Flags&engine.Ack != 0 {
		flags |= flagACK
	}
	if f.Flags&engine.Fin != 0 {
		flags |= flagFIN
	}
	if f.Flags&(engine.Reset|engine.Stray) != 0 {
		flags |= flagRST
	}
	switch {
	case f.Length > 0:
		return appendHeader(b, typeData, flags, f.ID, uint32(f.Length))
	case flags != 0 || f.Credit.Grant > 0:
		return appendHeader(b, typeWindowUpdate, flags, f.ID, f.Credit.Grant)
	}
	return b
}

func appendHeader(b []byte, typ byte, flags uint16, id, length uint32) []byte {
	b = append(b, version, typ)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	return binary.BigEndian.AppendUint32(b, length)
}
