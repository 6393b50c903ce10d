package mem

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// capacity is how many bytes one direction of a connection holds before Write waits for
// the peer's Read.
const capacity = 64 << 10

var (
	errReadClosed  = fmt.Errorf("mem: read: %w", net.ErrClosed)
	errWriteClosed = fmt.Errorf("mem: write: %w", net.ErrClosed)
	errPeerClosed  = fmt.Errorf("mem: write: peer closed the connection: %w", io.ErrClosedPipe)
	errCut         = fmt.Errorf("mem: read: peer closed without CloseWrite: %w", io.ErrUnexpectedEOF)
	errFinished    = errors.New("mem: write: after CloseWrite")
)

// A direction carries bytes from one end of a connection to the other.
type direction struct {
	mu      sync.Mutex // guards below
	changed sync.Cond  // broadcast after every change

	ring     []byte // allocated by the first write
	start, n int    // the n bytes from start on are buffered; they may wrap

	finished     bool // the writer ended it on purpose
	writerClosed bool
	readerClosed bool
}

func newDirection() *direction {
	d := new(direction)
	d.changed.L = &d.mu
	return d
}

func (d *direction) read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.readerClosed:
			return 0, errReadClosed
		case d.n > 0, len(p) == 0:
			return d.takeLocked(p), nil
		case d.finished:
			return 0, io.EOF
		case d.writerClosed:
			return 0, errCut
		}
		d.changed.Wait()
	}
}

func (d *direction) write(p []byte) (written int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.writerClosed:
			return written, errWriteClosed
		case d.finished:
			return written, errFinished
		case d.readerClosed:
			return written, errPeerClosed
		}
		written += d.putLocked(p[written:])
		if written == len(p) {
			return written, nil
		}
		d.changed.Wait()
	}
}

// takeLocked moves bytes from the buffer to p.
func (d *direction) takeLocked(p []byte) (taken int) {
	for len(p) > taken && d.n > 0 {
		end := min(d.start+d.n, capacity)
		k := copy(p[taken:], d.ring[d.start:end])
		taken += k
		d.n -= k
		d.start = (d.start + k) % capacity
	}
	d.changed.Broadcast()
	return taken
}

// putLocked moves as many bytes from p to the buffer as there is room for.
func (d *direction) putLocked(p []byte) (put int) {
	if d.ring == nil && len(p) > 0 {
		d.ring = make([]byte, capacity)
	}
	for len(p) > put && d.n < capacity {
		at := (d.start + d.n) % capacity
		end := min(at+capacity-d.n, capacity)
		k := copy(d.ring[at:end], p[put:])
		put += k
		d.n += k
	}
	d.changed.Broadcast()
	return put
}

// finish notes that nothing follows.
func (d *direction) finish() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writerClosed {
		return errWriteClosed
	}
	d.finished = true
	d.changed.Broadcast()
	return nil
}

func (d *direction) closeWriter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writerClosed = true
	d.changed.Broadcast()
}

// closeReader drops the buffer: nobody will read it.
func (d *direction) closeReader() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readerClosed = true
	d.ring, d.n = nil, 0
	d.changed.Broadcast()
}
