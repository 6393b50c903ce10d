// Package readbuf buffers what a stream has received and nobody has read yet.
package readbuf

import "sync"

// A Buffer holds bytes in chunks from a pool. The zero value is an empty Buffer, which
// holds no memory.
//
// It has one producer, which fills the free part of the last chunk between Space and
// Commit without holding a lock. At most one consumer uses borrowed bytes between Lend
// and Return, also without a lock. Everything else happens under the stream's lock.
type Buffer struct {
	head, tail *chunk
	size       int32 // unread bytes
	memory     int32 // of all chunks
	filling    bool  // between Space and Commit: tail must stay
	lent       bool  // between Lend and Return: head must stay
}

type chunk struct {
	next  *chunk
	class int
	r, w  int // buf[r:w] is unread, buf[w:] is free
	buf   []byte
}

// Chunks have the size smallest, doubled up to classes-1 times. A new chunk is begun only
// when the last one is full, and is sized for what is there to fill it, so a peer that
// sends many small frames uses little more memory than one that sends few large ones.
const (
	smallest = 2 << 10
	classes  = 5

	// Largest is the memory of the largest chunk, in bytes.
	Largest = smallest << (classes - 1)
)

var chunks [classes]sync.Pool

func newChunk(want int) *chunk {
	class, size := 0, smallest
	for class < classes-1 && size < want {
		class, size = class+1, size*2
	}
	if c, ok := chunks[class].Get().(*chunk); ok {
		return c
	}
	return &chunk{class: class, buf: make([]byte, size)}
}

func (c *chunk) free() {
	c.next, c.r, c.w = nil, 0, 0
	chunks[c.class].Put(c)
}

// Len is how many bytes can be read.
func (b *Buffer) Len() int { return int(b.size) }

// Memory is how many bytes the chunks occupy.
func (b *Buffer) Memory() int { return int(b.memory) }

// Space returns room for at least one of the next n bytes, and at most for all of them.
func (b *Buffer) Space(n int) []byte {
	if b.tail == nil || b.tail.w == len(b.tail.buf) {
		c := newChunk(n)
		if b.tail == nil {
			b.head = c
		} else {
			b.tail.next = c
		}
		b.tail = c
		b.memory += int32(len(c.buf))
	}
	b.filling = true
	free := b.tail.buf[b.tail.w:]
	return free[:min(n, len(free))]
}

// Commit makes the first n bytes of the last Space readable.
func (b *Buffer) Commit(n int) {
	b.filling = false
	b.tail.w += n
	b.size += int32(n)
	b.trim()
}

// Read moves bytes to p.
func (b *Buffer) Read(p []byte) (n int) {
	for n < len(p) && b.size > 0 {
		m := copy(p[n:], b.head.buf[b.head.r:b.head.w])
		b.head.r += m
		b.size -= int32(m)
		n += m
		b.trim()
	}
	return n
}

// Lend returns the first bytes, of which there must be some, for the caller to pass on.
// Nobody else reads until they are returned.
func (b *Buffer) Lend() []byte {
	b.lent = true
	return b.head.buf[b.head.r:b.head.w]
}

// Lent reports whether the first bytes are lent.
func (b *Buffer) Lent() bool { return b.lent }

// Return ends the last Lend. The first n bytes have been passed on.
func (b *Buffer) Return(n int) {
	b.lent = false
	n = min(n, b.head.w-b.head.r) // fewer if Drop was called meanwhile
	b.head.r += n
	b.size -= int32(n)
	b.trim()
}

// Drop throws everything away.
func (b *Buffer) Drop() {
	for c := b.head; c != nil; c = c.next {
		c.r = c.w
	}
	b.size = 0
	b.trim()
}

// trim frees the chunks at the front that have been read.
func (b *Buffer) trim() {
	for b.head != nil && b.head.r == b.head.w {
		c := b.head
		if b.lent {
			return
		}
		if c == b.tail {
			if b.filling {
				return
			}
			b.tail = nil
		}
		b.head = c.next
		b.memory -= int32(len(c.buf))
		c.free()
	}
}
