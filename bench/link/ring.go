package link

import (
	"context"
	"sync/atomic"
)

// A ring is memory for bytes under way. One goroutine fills it, another empties it,
// without copies.
type ring struct {
	buf   []byte
	used  atomic.Int64
	freed chan struct{} // holds a token after an empty

	in, out int // where each goroutine goes on
}

func newRing(size int) *ring {
	return &ring{buf: make([]byte, size), freed: make(chan struct{}, 1)}
}

// reset drops everything.
func (r *ring) reset() {
	r.in, r.out = 0, 0
	r.used.Store(0)
}

// room waits for free space, and returns at most n bytes of it. It returns nil if ctx
// ends first.
func (r *ring) room(ctx context.Context, n int) []byte {
	for {
		if free := len(r.buf) - int(r.used.Load()); free > 0 {
			return r.buf[r.in:min(r.in+free, r.in+n, len(r.buf))]
		}
		select {
		case <-r.freed:
		case <-ctx.Done():
			return nil
		}
	}
}

// fill keeps the first n bytes of the room.
func (r *ring) fill(n int) {
	r.in = (r.in + n) % len(r.buf)
	r.used.Add(int64(n))
}

// oldest returns the first n bytes, or fewer where the ring wraps.
func (r *ring) oldest(n int) []byte {
	return r.buf[r.out:min(r.out+n, len(r.buf))]
}

// empty drops the first n bytes.
func (r *ring) empty(n int) {
	r.out = (r.out + n) % len(r.buf)
	r.used.Add(-int64(n))
	signal(r.freed)
}
