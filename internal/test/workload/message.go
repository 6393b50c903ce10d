package workload

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
)

// A message is a request or an answer. On the wire it is
//
//	kind    1 byte
//	last    1 byte     1 if no other round follows
//	number  8 bytes    of the device, and of its request
//	size    4 bytes    of the body
//	sum     4 bytes    CRC-32C of everything before it: no end waits for a body
//	                   that is not sent
//	body
//	sum     4 bytes    CRC-32C of everything before it
type message struct {
	kind   byte
	last   bool
	number uint64
	size   int
}

const (
	request byte = 'Q'
	answer  byte = 'A'
	refusal byte = 'R' // this side has failed, and nothing follows

	fieldsSize = 1 + 1 + 8 + 4
	sumSize    = 4
	headerSize = fieldsSize + sumSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// noise is what bodies are cut from.
var noise = func() []byte {
	b := make([]byte, 1<<16)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

var (
	// errCorrupt is matched by the error for a message that differs from what was sent.
	errCorrupt = errors.New("corrupt")

	// errRefused is the error if the other side has failed.
	errRefused = errors.New("given up by the other side")
)

// write writes m with one call.
func (m message) write(w io.Writer) error {
	b := make([]byte, fieldsSize, headerSize+m.size+sumSize)
	b[0] = m.kind
	if m.last {
		b[1] = 1
	}
	binary.BigEndian.PutUint64(b[2:], m.number)
	binary.BigEndian.PutUint32(b[10:], uint32(m.size))
	b = appendSum(b)
	for begin := int(m.number % uint64(len(noise))); len(b) < headerSize+m.size; begin = 0 {
		b = append(b, noise[begin:min(begin+headerSize+m.size-len(b), len(noise))]...)
	}
	_, err := w.Write(appendSum(b))
	return err
}

func appendSum(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// sound reports whether b ends with its checksum.
func sound(b []byte) bool {
	body := len(b) - sumSize
	return crc32.Checksum(b[:body], castagnoli) == binary.BigEndian.Uint32(b[body:])
}

// readMessage reads a message of a kind, with a body of at most maxSize bytes.
func readMessage(r io.Reader, kind byte, maxSize int) (m message, err error) {
	b := make([]byte, headerSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return m, err
	}
	m = message{
		kind:   b[0],
		last:   b[1] == 1,
		number: binary.BigEndian.Uint64(b[2:]),
		size:   int(binary.BigEndian.Uint32(b[10:])),
	}
	switch {
	case m.kind == refusal && sound(b):
		return m, errRefused
	case m.kind != kind || m.size > maxSize || !sound(b):
		return m, fmt.Errorf("%w: header %x of what should be %q", errCorrupt, b, kind)
	}
	b = append(b, make([]byte, m.size+sumSize)...)
	if _, err := io.ReadFull(r, b[headerSize:]); err != nil {
		return m, err
	}
	if !sound(b) {
		return m, fmt.Errorf("%w: a body of %d bytes", errCorrupt, m.size)
	}
	return m, nil
}
