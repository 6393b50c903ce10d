package nativemux

import (
	"io"
	"sync"

	"github.com/backdial/backdial/mux/internal/readbuf"
)

// large has the buffers of a WriteTo that is busy.
var large = sync.Pool{New: func() any { return new([largeFetch]byte) }}

// WriteTo implements [mux.WriterTo]. The carrier hands nothing over without a buffer.
// That with which WriteTo waits is small, and it has a large one only for as long as it
// fills it.
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
