package qmux

import "bytes"

// A frameType is the type of a frame.
type frameType uint64

// The frames of QUIC that QMux has (RFC 9000, section 19), and its own two. All others
// are prohibited or unknown, which is the same to a receiver.
const (
	framePadding            frameType = 0x00
	frameResetStream        frameType = 0x04
	frameStopSending        frameType = 0x05
	frameStream             frameType = 0x08 // to 0x0f, with the bits below
	frameMaxData            frameType = 0x10
	frameMaxStreamData      frameType = 0x11
	frameMaxStreamsBidi     frameType = 0x12
	frameMaxStreamsUni      frameType = 0x13
	frameDataBlocked        frameType = 0x14
	frameStreamDataBlocked  frameType = 0x15
	frameStreamsBlockedBidi frameType = 0x16
	frameStreamsBlockedUni  frameType = 0x17
	frameClose              frameType = 0x1c // CONNECTION_CLOSE
	frameCloseApplication   frameType = 0x1d
	frameDatagram           frameType = 0x30
	frameDatagramLen        frameType = 0x31
	framePing               frameType = 0x348c67529ef8c7bd // QX_PING, a request
	framePong               frameType = 0x348c67529ef8c7be // QX_PING, a response
)

// The bits of a STREAM frame's type.
const (
	bitFin frameType = 1 << iota // last frame of its stream
	bitLen                       // has a length; without it the frame ends with the record
	bitOff                       // has an offset; without it the offset is 0
)

// The extension of this library: see the package documentation.
const (
	frameAccepted frameType = 0x1bacd1a2
	frameMessage  frameType = 0x1bacd1a3
	frameLeaving  frameType = 0x1bacd1a4
)

// frame is one message of the protocol, without the length bytes that follow its fields.
type frame struct {
	typ    frameType // without the bits of a STREAM frame
	id     uint64    // of the stream
	offset uint64    // of STREAM; the final size of RESET_STREAM
	fin    bool      // of STREAM
	code   uint64    // of RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE
	max    uint64    // of MAX_… and …_BLOCKED; the total of accepted streams
	seq    uint64    // of QX_PING
	cause  frameType // of CONNECTION_CLOSE
	length int       // of what follows: data, reason, parameters or message
}

// maxHeader is the largest size of a frame without what follows its fields: a type and
// three integers.
const maxHeader = 4 * 8

// maxStreamHeader is maxHeader of a STREAM frame.
const maxStreamHeader = 1 + 3*8

// maxStreamCount is the number of streams that there are ids for.
const maxStreamCount = 1 << 60

// parseFrame parses the frame at the start of header, and returns the length of its
// fields. The record has left more bytes. header holds the first of them, at most
// maxHeader.
func (v *version) parseFrame(header []byte, left int) (f frame, n int, err error) {
	p := parser{rest: header}
	typ := frameType(p.varint())
	if n := len(header) - len(p.rest); !p.short && n != varintLen(uint64(typ)) {
		return f, 0, violation(protocolViolation, typ, "a frame type in %d bytes that fits into %d", n, varintLen(uint64(typ)))
	}
	f.typ = typ
	toEnd, hasLength := false, false
	switch typ {
	case framePadding: // a run of them
		n := len(header) - len(bytes.TrimLeft(header, "\x00"))
		p.rest = header[n:]
	case frameResetStream:
		f.id, f.code, f.offset = p.varint(), p.varint(), p.varint()
	case frameStopSending:
		f.id, f.code = p.varint(), p.varint()
	case frameMaxData, frameDataBlocked, frameMaxStreamsBidi, frameMaxStreamsUni, frameStreamsBlockedBidi, frameStreamsBlockedUni, frameAccepted:
		f.max = p.varint()
	case frameMaxStreamData, frameStreamDataBlocked:
		f.id, f.max = p.varint(), p.varint()
	case framePing, framePong:
		f.seq = p.varint()
	case frameClose:
		f.code, f.cause = p.varint(), frameType(p.varint())
		hasLength = true
	case frameCloseApplication:
		f.code = p.varint()
		hasLength = true
	case frameMessage, v.parameters:
		hasLength = true
	case frameLeaving:
	case frameDatagram, frameDatagramLen:
		return f, 0, violation(protocolViolation, typ, "a datagram, although this end takes none")
	default:
		if typ < frameStream || typ > frameStream|bitFin|bitLen|bitOff {
			return f, 0, violation(frameEncodingError, typ, "frame of unknown or prohibited type %#x", uint64(typ))
		}
		f.typ = frameStream
		f.fin = typ&bitFin != 0
		f.id = p.varint()
		if typ&bitOff != 0 {
			f.offset = p.varint()
		}
		hasLength = typ&bitLen != 0
		toEnd = !hasLength
	}
	length := uint64(0)
	if hasLength {
		length = p.varint()
	}
	n = len(header) - len(p.rest)
	if toEnd {
		length = uint64(left - n)
	}
	if p.short || length > uint64(left-n) {
		return f, 0, violation(frameEncodingError, typ, "frame of type %#x is longer than its record", uint64(typ))
	}
	f.length = int(length)
	return f, n, f.validate()
}

// validate reports a field that is out of range.
func (f *frame) validate() error {
	switch f.typ {
	case frameStream:
		if f.offset+uint64(f.length) > maxVarint {
			return violation(frameEncodingError, f.typ, "data beyond the largest offset of a stream")
		}
	case frameMaxStreamsBidi, frameMaxStreamsUni, frameStreamsBlockedBidi, frameStreamsBlockedUni:
		if f.max > maxStreamCount {
			return violation(frameEncodingError, f.typ, "%d streams, more than there are ids", f.max)
		}
	}
	return nil
}

// A parser takes integers off a slice.
type parser struct {
	rest  []byte
	short bool // the slice ended too early
}

func (p *parser) varint() uint64 {
	v, n := consumeVarint(p.rest)
	p.short = p.short || n == 0
	p.rest = p.rest[n:]
	return v
}

// append appends f up to what follows its fields. A STREAM frame always has a length, so
// that other frames can follow.
func (f *frame) append(b []byte) []byte {
	switch f.typ {
	case frameStream:
		typ := frameStream | bitLen
		if f.fin {
			typ |= bitFin
		}
		if f.offset > 0 {
			typ |= bitOff
		}
		b = appendVarint(b, uint64(typ))
		b = appendVarint(b, f.id)
		if f.offset > 0 {
			b = appendVarint(b, f.offset)
		}
		return appendVarint(b, uint64(f.length))
	}
	b = appendVarint(b, uint64(f.typ))
	switch f.typ {
	case frameResetStream:
		b = appendVarint(b, f.id)
		b = appendVarint(b, f.code)
		return appendVarint(b, f.offset)
	case frameStopSending:
		b = appendVarint(b, f.id)
		return appendVarint(b, f.code)
	case frameMaxData, frameDataBlocked, frameMaxStreamsBidi, frameMaxStreamsUni, frameStreamsBlockedBidi, frameStreamsBlockedUni, frameAccepted:
		return appendVarint(b, f.max)
	case frameMaxStreamData, frameStreamDataBlocked:
		b = appendVarint(b, f.id)
		return appendVarint(b, f.max)
	case framePing, framePong:
		return appendVarint(b, f.seq)
	case frameClose:
		b = appendVarint(b, f.code)
		b = appendVarint(b, uint64(f.cause))
		return appendVarint(b, uint64(f.length))
	case frameCloseApplication:
		b = appendVarint(b, f.code)
		return appendVarint(b, uint64(f.length))
	case framePadding, frameLeaving:
		return b
	default: // parameters and messages
		return appendVarint(b, uint64(f.length))
	}
}
