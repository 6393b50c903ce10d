package qmux

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/powers"
)

// Frames travel in records (section 4 of the draft). On a byte stream a record begins
// with its Size. On a carrier with messages, each message is a record without a Size.

const (
	// maxRecordSize is the largest record that this end takes. It is read frame by frame,
	// so the limit costs no memory. It has room for as much data as is sent at once, with
	// its headers.
	maxRecordSize = 64<<10 + 4<<10

	// sendRecordSize is the largest record that this end sends to a peer that takes as
	// much. It has room for a batch.
	sendRecordSize = 68 << 10

	// readBuffer is what an idle session holds for reading. Small frames pass through it;
	// large payloads go from the carrier straight to their stream.
	readBuffer = 2 << 10
)

// recordConn is a connection that carries records.
type recordConn struct {
	net.Conn
	messages powers.Messenger    // nil for a byte stream
	prompt   powers.PromptReader // nil if every read may block
}

func newRecordConn(conn net.Conn) recordConn {
	p := powers.OfConn(conn)
	return recordConn{conn, p.Messenger, p.PromptReader}
}

// recordReader takes records off a connection, from one goroutine.
type recordReader struct {
	conn  recordConn
	limit int
	left  int // bytes of the record not taken yet
	buf   *bufio.Reader
	heard func(n int) // called with the number of bytes that arrived; 0 for a new message

	begun   uint64        // records
	current atomic.Uint64 // the number of the record under way, or 0
}

func newRecordReader(conn recordConn, heard func(n int)) *recordReader {
	r := &recordReader{conn: conn, limit: maxRecordSize, heard: heard}
	r.buf = bufio.NewReaderSize(recordInput{r}, readBuffer)
	return r
}

// recordInput is the reader below buf. It stays within one message, if there are messages.
type recordInput struct{ r *recordReader }

func (a recordInput) Read(p []byte) (int, error) {
	n, err := a.r.conn.Read(p)
	a.r.heard(n)
	return n, err
}

// next moves to the next record. The current one has been taken whole. Its error is
// [io.EOF] if the peer has ended what it sends, but not in the middle of a record.
func (r *recordReader) next() (err error) {
	if r.conn.messages != nil {
		r.left, err = r.conn.messages.NextMessage(r.limit)
		r.heard(0)
		if errors.Is(err, carrier.ErrMessageSize) {
			return tooLarge(r.limit)
		}
		r.begin()
		return err
	}
	first, err := r.buf.Peek(1)
	if err != nil {
		return err
	}
	b, err := r.buf.Peek(1 << (first[0] >> 6))
	if err != nil {
		return cut(err)
	}
	size, n := consumeVarint(b)
	if size > uint64(r.limit) {
		return tooLarge(r.limit)
	}
	r.buf.Discard(n)
	r.left = int(size)
	r.begin()
	return nil
}

// drained reports whether nothing more has arrived, as far as is known.
func (r *recordReader) drained() bool { return r.buf.Buffered() == 0 }

// begin notes that a record has begun.
func (r *recordReader) begin() {
	r.begun++
	r.current.Store(r.begun)
}

// done notes that the record has been taken whole.
func (r *recordReader) done() { r.current.Store(0) }

func tooLarge(limit int) error {
	return violation(frameEncodingError, 0, "a record of more than %d bytes", limit)
}

// cut is the error if the input ends in the middle of a record.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// peek returns the next n bytes, or what is left of the record, without taking them.
func (r *recordReader) peek(n int) ([]byte, error) {
	b, err := r.buf.Peek(min(r.left, n))
	return b, cut(err)
}

// Read reads at most what is left of the record.
func (r *recordReader) Read(p []byte) (int, error) {
	n, err := r.buf.Read(p)
	r.left -= n
	return n, cut(err)
}

// ReadNow is Read, but returns 0 instead of waiting.
func (r *recordReader) ReadNow(p []byte) (n int) {
	p = p[:min(len(p), r.left)]
	if r.buf.Buffered() > 0 {
		n, _ = r.buf.Read(p)
	} else if r.conn.prompt != nil {
		if n = r.conn.prompt.ReadNow(p); n > 0 {
			r.heard(n)
		}
	}
	r.left -= n
	return n
}

// skip discards n bytes of the record.
func (r *recordReader) skip(n int) error {
	n, err := r.buf.Discard(n)
	r.left -= n
	return cut(err)
}

// discard drops input until the peer ends what it sends or the connection is closed. It
// may begin in the middle of a record.
func (r *recordReader) discard() {
	if r.conn.messages == nil {
		io.Copy(io.Discard, r.conn.Conn)
		return
	}
	for err := error(nil); err == nil; {
		_, err = r.conn.messages.NextMessage(r.limit)
	}
}
