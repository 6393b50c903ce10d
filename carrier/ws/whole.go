package ws

import (
	"fmt"
	"io"
	"sync"

	"github.com/backdial/backdial/carrier"
)

// A whole is a message that has arrived whole, because how long it is was not known
// before. It is read from.
type whole struct {
	rest   []byte
	buffer *[]byte // holds rest; nil if there is none
}

// Buffers that messages are read into.
var wholes = sync.Pool{New: func() any {
	b := make([]byte, smallWhole)
	return &b
}}

const (
	smallWhole = 4 << 10 // the size of a new buffer

	// maxPooled is how large a buffer is kept for other messages.
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

// drop gives the buffer back, which an idle connection has none of.
func (w *whole) drop() {
	if w.buffer != nil && len(*w.buffer) <= maxPooled {
		wholes.Put(w.buffer)
	}
	w.rest, w.buffer = nil, nil
}

// fill reads the message that r has, of up to limit bytes.
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
			room = limit + 1 // to see that there is more
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
