package qmux

import (
	"sync"

	"github.com/backdial/backdial/mux/internal/writeloop"
)

// A batch holds records that are sent together, laid out as the connection needs them.
type batch struct {
	sized bool // records have a Size
	limit int  // of a record, without its Size

	buf   []byte
	begun bool  // the last record may get more frames
	start int   // of the frames of the last record
	ends  []int // where the earlier records end

	records [][]byte // memory for split

	// The last frame, if it carries data.
	last   *stream // nil if it does not
	lastAt int     // where its type is
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func newBatch(sized bool) *batch {
	b := batches.Get().(*batch)
	b.sized = sized
	return b
}

// Messages implements [writeloop.Batch].
func (b *batch) Messages() [][]byte {
	if b.sized {
		b.records = append(b.records, b.buf)
		return b.records
	}
	return b.split()
}

// Release returns b to the pool. A batch that has grown too large is left to the
// collector.
func (b *batch) Release() {
	if cap(b.buf) > writeloop.MostBuffer {
		return
	}
	clear(b.records)
	*b = batch{buf: b.buf[:0], ends: b.ends[:0], records: b.records[:0]}
	batches.Put(b)
}

// reserve makes room for a frame of up to n bytes in one record. It begins a new record
// if the last one has too little room.
func (b *batch) reserve(n int) {
	b.last = nil
	if b.begun && len(b.buf)-b.start+n <= b.limit {
		return
	}
	b.seal()
	if b.sized {
		b.buf = append(b.buf, make([]byte, sizeLen)...)
	}
	b.begun, b.start = true, len(b.buf)
}

// seal completes the last record.
func (b *batch) seal() {
	if !b.begun {
		return
	}
	if b.sized {
		putSize(b.buf[b.start-sizeLen:], len(b.buf)-b.start)
	} else {
		b.ends = append(b.ends, len(b.buf))
	}
	b.begun = false
}

// frame appends f and its payload.
func (b *batch) frame(f frame, payload []byte) {
	f.length = len(payload)
	b.reserve(maxHeader + len(payload))
	b.buf = append(f.append(b.buf), payload...)
}

// data appends a STREAM frame of st with payload.
func (b *batch) data(st *stream, f frame, payload []byte) {
	b.reserve(maxStreamHeader + len(payload))
	b.last, b.lastAt = st, len(b.buf)
	b.buf = append(f.append(b.buf), payload...)
}

// finish sets the FIN bit on the last frame, and reports whether it could: the frame must
// carry data of st.
func (b *batch) finish(st *stream) bool {
	if b.last != st {
		return false
	}
	b.buf[b.lastAt] |= byte(bitFin)
	return true
}

// split returns the sealed records, which have no Size.
func (b *batch) split() [][]byte {
	start := 0
	for _, end := range b.ends {
		b.records, start = append(b.records, b.buf[start:end:end]), end
	}
	return b.records
}

// maxReason is how much of a reason is sent and kept, in bytes.
const maxReason = 512

// close appends a CONNECTION_CLOSE frame.
func (b *batch) close(e *ConnectionError) {
	typ := frameClose
	if e.Application {
		typ = frameCloseApplication
	}
	b.frame(frame{typ: typ, code: e.Code, cause: e.frame}, []byte(e.Reason[:min(len(e.Reason), maxReason)]))
}
