package ws

import (
	"fmt"
	"io"
	"sync"

	"github.com/backdial/backdial/carrier"
)

// whole is a message that has arrived completely, because its size was not known before.
// It is read from.
type whole struct {
	rest   []byte
	buffer *[]byte // holds rest; or nil
}

// wholes pools the buffers of messages.
var wholes = sync.Pool{New: func() any {
	b := make([]byte, smallWhole)
	return &b
}}

const (
	smallWhole = 4 << 10 // size of a new buffer

	// maxPooled is the size up to which a buffer is kept for other messages.
	maxPooled = 128 << 10
)

func (w *whole) Read(p []byte) (int, error) {
	if len(w.rest) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	if len(w.rest) == 0 {
		w.drop()
	}
	return n, nil
}

// drop returns the buffer to the pool: an idle connection holds none.
func (w *whole) drop() {
	if w.buffer != nil && len(*w.buffer) <= maxPooled {
		wholes.Put(w.buffer)
	}
	w.rest, w.buffer = nil, nil
}

// fill reads the message in r, of up to limit bytes.
func (w *whole) fill(r io.Reader, limit int) error {
	w.buffer = wholes.Get().(*[]byte)
	for n := 0; ; {
		if n > limit {
			w.drop()
			return tooLarge(limit)
		}
		if n == len(*w.buffer) {
			size := 2 * n
			if limit < size {
				size = limit + 1
			}
			larger := make([]byte, size)
			copy(larger, *w.buffer)
			*w.buffer = larger
		}
		room := len(*w.buffer)
		if limit < room {
			room = limit + 1 // so that a longer message shows
		}
		m, err := r.Read((*w.buffer)[n:room])
		n += m
		if err == io.EOF && n <= limit {
			w.rest = (*w.buffer)[:n]
			if n == 0 {
				w.drop()
			}
			return nil
		}
		if err != nil && err != io.EOF {
			w.drop()
			return err
		}
	}
}

func tooLarge(limit int) error {
	return fmt.Errorf("%w: more than %d bytes", carrier.ErrMessageSize, limit)
}
