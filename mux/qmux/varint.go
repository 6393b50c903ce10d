package qmux

import "encoding/binary"

// maxVarint is the largest variable-length integer.
const maxVarint = 1<<62 - 1

// appendVarint appends v in as few bytes as possible (RFC 9000, section 16). v is at most
// maxVarint.
func appendVarint(b []byte, v uint64) []byte {
	switch varintLen(v) {
	case 1:
		return append(b, byte(v))
	case 2:
		return binary.BigEndian.AppendUint16(b, uint16(v)|1<<14)
	case 4:
		return binary.BigEndian.AppendUint32(b, uint32(v)|2<<30)
	default:
		return binary.BigEndian.AppendUint64(b, v|3<<62)
	}
}

// varintLen is how many bytes appendVarint appends.
func varintLen(v uint64) int {
	switch {
	case v < 1<<6:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<30:
		return 4
	default:
		return 8
	}
}

// consumeVarint returns the integer at the start of b, and its length, or 0 if b is too
// short.
func consumeVarint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	n = 1 << (b[0] >> 6)
	if len(b) < n {
		return 0, 0
	}
	v = uint64(b[0] & 0x3f)
	for _, next := range b[1:n] {
		v = v<<8 | uint64(next)
	}
	return v, n
}

// sizeLen is the length of the Size of our records. It is written when the record is
// complete, so its length is fixed: integers need not be in their shortest form.
const sizeLen = 4

// putSize writes n, which is less than 2³⁰, into the first sizeLen bytes of b.
func putSize(b []byte, n int) { binary.BigEndian.PutUint32(b, uint32(n)|2<<30) }
