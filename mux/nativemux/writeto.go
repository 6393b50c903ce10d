package nativemux

import (
	"io"
	"sync"

	"github.com/backdial/backdial/mux/internal/readbuf"
)

// large pools the buffers of busy WriteTos.
var large = sync.Pool{New: func() any { return new([largeFetch]byte) }}

// WriteTo implements [mux.WriterTo]. The carrier needs a buffer to hand anything over.
// WriteTo waits with a small one, and uses a large one only while it fills it.
func (st *stream) WriteTo(w io.Writer) (int64, error) {
	small := make([]byte, smallFetch)
	buf, borrowed := small, (*[largeFetch]byte)(nil)
	release := func() {
		if borrowed != nil {
			large.Put(borrowed)
			buf, borrowed = small, nil
		}
	}
	defer release()
	filled := false
	return readbuf.PassOn(w, func() ([]byte, error) {
		switch {
		case !filled:
			release()
		case borrowed == nil:
			borrowed = large.Get().(*[largeFetch]byte)
			buf = borrowed[:]
		}
		n, err := st.Read(buf)
		filled = n == len(buf)
		return buf[:n], err
	}, func(int) {})
}
