package ws

import (
	"net"
	"sync"
)

const (
	// smallWrite is how long a message is that is copied rather than written with a
	// system call that gathers.
	smallWrite = 4 << 10

	// largeWrite is what is masked or copied for one system call at most. A
	// multiplexer writes 64 KiB at once, and a little that goes with it.
	largeWrite = 72 << 10

	// beside is room for a pong and two headers beside smallWrite bytes.
	beside = 3*maxHeader + maxControl

	// maxPieces is how many pieces of memory one system call gathers at most.
	maxPieces = 64
)

// An output gathers frames and writes them, if it can in one system call. It is in
// use during a write only.
type output struct {
	conn  net.Conn
	masks bool

	// gathers says that conn can take what is not in one piece, and does not need to
	// have it masked.
	gathers bool

	buf    []byte // headers, and payload that is masked or copied; never grows
	taken  int    // of buf, by pieces
	left   int    // of buf, on the wire
	pieces net.Buffers
	array  [maxPieces][]byte // that pieces are in

	keys maskKeys
}

// Outputs of either size. They keep no more than what they are for: an idle
// connection has none.
var (
	smallOutputs = sync.Pool{New: func() any { return &output{buf: make([]byte, 0, smallWrite+beside)} }}
	largeOutputs = sync.Pool{New: func() any { return &output{buf: make([]byte, 0, largeWrite)} }}
)

// newOutput returns an output for messages, and a pong.
func newOutput(conn net.Conn, masks bool, messages [][]byte) *output {
	_, isTCP := conn.(*net.TCPConn)
	gathers := isTCP && !masks
	size := occupied(messages, gathers)
	pool := &smallOutputs
	if size > smallWrite+maxHeader {
		pool = &largeOutputs
	}
	o := pool.Get().(*output)
	o.conn, o.masks, o.gathers = conn, masks, gathers
	o.pieces = o.array[:0]
	return o
}

// occupied is how much of buf the frames of messages take, at most.
func occupied(messages [][]byte, gathers bool) (size int) {
	for _, m := range messages {
		size += maxHeader
		if !gathers || len(m) <= smallWrite {
			size += len(m)
		}
	}
	return size
}

// free gives o back.
func (o *output) free() {
	clear(o.array[:])
	o.conn, o.pieces, o.buf, o.taken, o.left = nil, nil, o.buf[:0], 0, 0
	switch cap(o.buf) {
	case smallWrite + beside:
		smallOutputs.Put(o)
	case largeWrite:
		largeOutputs.Put(o)
	}
}

// frame appends a frame with the whole of a message. It writes when there is no more
// room.
func (o *output) frame(op opcode, payload []byte) error {
	if cap(o.buf)-len(o.buf) < maxHeader || len(o.pieces)+3 > maxPieces {
		if err := o.flush(); err != nil {
			return err
		}
	}
	h := header{op: op, fin: true, masked: o.masks, length: int64(len(payload))}
	if o.masks {
		h.key = o.keys.next()
	}
	o.buf = appendHeader(o.buf, h)
	if o.gathers && len(payload) > smallWrite {
		o.pieces = append(o.pieces, o.buf[o.taken:], payload)
		o.taken = len(o.buf)
		return nil
	}
	for {
		n := min(len(payload), cap(o.buf)-len(o.buf))
		at := len(o.buf)
		o.buf = o.buf[:at+n]
		if o.masks {
			h.key = mask(o.buf[at:], payload[:n], h.key)
		} else {
			copy(o.buf[at:], payload)
		}
		if payload = payload[n:]; len(payload) == 0 {
			return nil
		}
		if err := o.flush(); err != nil {
			return err
		}
	}
}

// flush writes what has been gathered.
func (o *output) flush() (err error) {
	switch {
	case len(o.pieces) > 0:
		o.gather()
		_, err = o.pieces.WriteTo(o.conn)
	case o.left < len(o.buf):
		_, err = o.conn.Write(o.buf[o.left:])
	}
	o.pieces, o.buf, o.taken, o.left = o.array[:0], o.buf[:0], 0, 0
	return err
}

// gather makes everything pieces.
func (o *output) gather() {
	if o.taken < len(o.buf) {
		o.pieces = append(o.pieces, o.buf[o.taken:])
		o.taken = len(o.buf)
	}
}
