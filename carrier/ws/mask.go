package ws

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"sync"
)

// Clients mask what they send (RFC 6455, section 5.3). A key is the number whose bytes in
// little-endian order are the key's four bytes, so the first one is the lowest.

const (
	// patternSize is how many bytes a repeated key covers, a multiple of its size.
	patternSize = 4 << 10

	// minPattern is the size from which on a pattern pays.
	minPattern = 2 << 10
)

// patterns pools memory for repeated keys.
var patterns = sync.Pool{New: func() any { return new([patternSize]byte) }}

// mask sets dst to src, masked or unmasked with key. It returns the key for the bytes
// that follow. dst may be src.
func mask(dst, src []byte, key uint32) uint32 {
	next := bits.RotateLeft32(key, -8*(len(src)%4))
	if len(src) >= minPattern {
		maskPattern(dst, src, key)
	} else {
		maskWords(dst, src, key)
	}
	return next
}

// maskWords is mask for few bytes.
func maskWords(dst, src []byte, key uint32) {
	word := uint64(key)<<32 | uint64(key)
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^word)
		dst, src = dst[8:], src[8:]
	}
	for i, b := range src {
		dst[i] = b ^ byte(word)
		word >>= 8
	}
}

// maskPattern is mask for many bytes: the processor's widest registers take the repeated
// key.
func maskPattern(dst, src []byte, key uint32) {
	p := patterns.Get().(*[patternSize]byte)
	binary.LittleEndian.PutUint32(p[:], key)
	for n := 4; n < patternSize; n *= 2 {
		copy(p[n:], p[:n])
	}
	for len(src) > 0 {
		n := subtle.XORBytes(dst, src, p[:])
		dst, src = dst[n:], src[n:]
	}
	patterns.Put(p)
}

// maskKeys hands out keys. An attacker who chooses the payload must not know them in
// advance (section 10.3), nor deduce later keys from those he sees, so they come from the
// system's generator. It fetches several at a time, because each fetch may be a system
// call.
type maskKeys struct {
	random [64]byte
	left   int // how much of random is unused, at its end
}

func (k *maskKeys) next() uint32 {
	if k.left == 0 {
		rand.Read(k.random[:]) // never fails
		k.left = len(k.random)
	}
	key := binary.LittleEndian.Uint32(k.random[len(k.random)-k.left:])
	k.left -= 4
	return key
}
