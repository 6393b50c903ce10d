package engine

import "sync"

// A receiveBuffer holds what has arrived on a stream and was not read yet, in
// chunks from a pool. An empty one holds no memory.
//
// It has one producer, which fills the free part of the last chunk without
// holding a lock, between space and commit. Everything else happens under the
// stream's lock.
type receiveBuffer struct {
	head, tail *chunk
	size       int
	filling    bool // between space and commit: tail must stay
}

type chunk struct {
	next *chunk
	r, w int // buf[r:w] is unread, buf[w:] is free
	buf  []byte
}

// Chunks come in two sizes. A new one is only begun when the last is full, so
// a peer that sends many small frames occupies no more than one that sends few
// large ones.
const (
	smallChunk = 2 << 10
	largeChunk = 32 << 10
)

var (
	smallChunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, smallChunk)} }}
	largeChunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, largeChunk)} }}
)

func newChunk(want int) *chunk {
	if want <= smallChunk {
		return smallChunks.Get().(*chunk)
	}
	return largeChunks.Get().(*chunk)
}

func (c *chunk) free() {
	pool := &smallChunks
	if len(c.buf) == largeChunk {
		pool = &largeChunks
	}
	c.next, c.r, c.w = nil, 0, 0
	pool.Put(c)
}

// space returns room for at least one of the next n bytes, and at most for
// all.
func (b *receiveBuffer) space(n int) []byte {
	if b.tail == nil || b.tail.w == len(b.tail.buf) {
		c := newChunk(n)
		if b.tail == nil {
			b.head = c
		} else {
			b.tail.next = c
		}
		b.tail = c
	}
	b.filling = true
	free := b.tail.buf[b.tail.w:]
	return free[:min(n, len(free))]
}

// commit makes the first n bytes of the last space readable.
func (b *receiveBuffer) commit(n int) {
	b.filling = false
	b.tail.w += n
	b.size += n
	b.trim()
}

// read moves bytes to p.
func (b *receiveBuffer) read(p []byte) (n int) {
	for n < len(p) && b.size > 0 {
		m := copy(p[n:], b.head.buf[b.head.r:b.head.w])
		b.head.r += m
		b.size -= m
		n += m
		b.trim()
	}
	return n
}

// drop throws everything away and returns how much that was.
func (b *receiveBuffer) drop() (n int) {
	for c := b.head; c != nil; c = c.next {
		c.r = c.w
	}
	n, b.size = b.size, 0
	b.trim()
	return n
}

// trim frees the chunks in front that have been read.
func (b *receiveBuffer) trim() {
	for b.head != nil && b.head.r == b.head.w {
		c := b.head
		if c == b.tail {
			if b.filling {
				return
			}
			b.tail = nil
		}
		b.head = c.next
		c.free()
	}
}
