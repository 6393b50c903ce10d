package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// The frames of RFC 6455, section 5.2.

// An opcode is the type of a frame.
type opcode byte

const (
	opContinuation opcode = 0
	opText         opcode = 1
	opBinary       opcode = 2
	opClose        opcode = 8
	opPing         opcode = 9
	opPong         opcode = 10
)

func (op opcode) isControl() bool { return op >= opClose }

const (
	finBit       = 0x80 // in the first byte
	reservedBits = 0x70
	maskBit      = 0x80 // in the second byte

	maxHeader  = 14
	maxControl = 125 // payload of a control frame, in bytes
)

// A header is the header of a frame.
type header struct {
	op     opcode
	fin    bool // the last frame of the message
	masked bool
	key    uint32 // see mask
	length int64
}

// appendHeader appends h to b.
func appendHeader(b []byte, h header) []byte {
	first, second := byte(h.op), byte(0)
	if h.fin {
		first |= finBit
	}
	if h.masked {
		second = maskBit
	}
	switch {
	case h.length < 126:
		b = append(b, first, second|byte(h.length))
	case h.length <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, first, second|126), uint16(h.length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, second|127), uint64(h.length))
	}
	if h.masked {
		b = binary.LittleEndian.AppendUint32(b, h.key)
	}
	return b
}

// headerSize returns the size of the header with the given second byte.
func headerSize(second byte) int {
	size := 2
	switch second &^ maskBit {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if second&maskBit != 0 {
		size += 4
	}
	return size
}

// checkStart returns what is wrong with a header that begins with these two bytes,
// regardless of the frames before it.
func checkStart(first, second byte) error {
	op := opcode(first & 0x0f)
	if first&reservedBits != 0 {
		return violation("reserved bits are set, but no extension was negotiated")
	}
	switch op {
	case opContinuation, opText, opBinary:
		return nil
	case opClose, opPing, opPong:
	default:
		return violation("reserved opcode %d", op)
	}
	if first&finBit == 0 {
		return violation("a control frame is fragmented")
	}
	if second&^maskBit > maxControl {
		return violation("a control frame has more than %d bytes", maxControl)
	}
	return nil
}

// parseHeader parses the complete header in b.
func parseHeader(b []byte) (header, error) {
	h := header{
		op:     opcode(b[0] & 0x0f),
		fin:    b[0]&finBit != 0,
		masked: b[1]&maskBit != 0,
		length: int64(b[1] &^ maskBit),
	}
	shortest := int64(0) // the least length that needs so many bytes
	switch h.length {
	case 126:
		h.length, shortest = int64(binary.BigEndian.Uint16(b[2:])), 126
	case 127:
		h.length, shortest = int64(binary.BigEndian.Uint64(b[2:])), 1<<16
	}
	if h.length < 0 {
		return h, violation("a length of 2^63 bytes or more")
	}
	if h.length < shortest {
		return h, violation("a length of %d takes more bytes than it needs", h.length)
	}
	if h.masked {
		h.key = binary.LittleEndian.Uint32(b[len(b)-4:])
	}
	return h, nil
}

// A refusal is why this end fails the connection (section 7.1.7). A close frame tells the
// peer.
type refusal struct {
	status int
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// violation returns the refusal for a peer that broke the protocol.
func violation(format string, args ...any) error {
	return &refusal{websocket.CloseProtocolError, fmt.Errorf("protocol violation: "+format, args...)}
}

// appendClose appends the payload of a close frame (section 5.5.1).
func appendClose(b []byte, status int, reason string) []byte {
	if status == websocket.CloseNoStatusReceived {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(status))
	return append(b, strings.ToValidUTF8(reason[:min(len(reason), maxControl-2)], "")...)
}

var errReason = errors.New("protocol violation: the reason in a close frame is not UTF-8")

// parseClose parses the payload of a close frame.
func parseClose(payload []byte) (status int, reason string, err error) {
	switch len(payload) {
	case 0:
		return websocket.CloseNoStatusReceived, "", nil
	case 1:
		return 0, "", violation("a close frame with half a status")
	}
	status, reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
	if !isSendable(status) {
		return 0, "", violation("a close frame with status %d", status)
	}
	if !utf8.ValidString(reason) {
		return 0, "", &refusal{websocket.CloseInvalidFramePayloadData, errReason}
	}
	return status, reason, nil
}

// isSendable reports whether a close frame may have the given status: IANA has registered
// it for that, or it is for libraries and applications (section 7.4).
func isSendable(status int) bool {
	return 1000 <= status && status <= 1003 || 1007 <= status && status <= 1014 || 3000 <= status && status <= 4999
}
