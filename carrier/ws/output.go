package ws

import (
	"net"
	"sync"
)

const (
	// smallWrite is the size up to which a message is copied. A larger one is written with
	// a system call that gathers pieces.
	smallWrite = 4 << 10

	// largeWrite is how much is masked or copied for one system call, at most. A
	// multiplexer writes 64 KiB and a few headers at once.
	largeWrite = 72 << 10

	// beside is room for a pong and two headers, in addition to smallWrite bytes.
	beside = 3*maxHeader + maxControl

	// maxPieces is how many pieces of memory one system call gathers, at most.
	maxPieces = 64
)

// An output gathers frames and writes them, with one system call if it can. It is in use
// only during a write.
type output struct {
	conn  net.Conn
	masks bool

	// gathers says that conn can write several pieces at once, and needs no masking.
	gathers bool

	// keeps says that nothing is to be written yet: what is full is replaced.
	keeps bool
	more  []*output // hold buffers that are full

	buf    []byte // headers, and masked or copied payload; never grows
	taken  int    // how much of buf is in pieces
	left   int    // how much of buf has been written
	pieces net.Buffers
	array  [maxPieces][]byte // memory for pieces

	keys maskKeys
}

// Pools of outputs of either size. An idle connection holds none.
var (
	smallOutputs = sync.Pool{New: func() any { return &output{buf: make([]byte, 0, smallWrite+beside)} }}
	largeOutputs = sync.Pool{New: func() any { return &output{buf: make([]byte, 0, largeWrite)} }}
)

// newOutput returns an output for messages and a pong.
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

// occupied is how much of buf the frames of messages need, at most.
func occupied(messages [][]byte, gathers bool) (size int) {
	for _, m := range messages {
		size += maxHeader
		if !gathers || len(m) <= smallWrite {
			size += len(m)
		}
	}
	return size
}

// free returns o to its pool.
func (o *output) free() {
	for _, more := range o.more {
		more.free()
	}
	clear(o.more)
	clear(o.array[:])
	o.conn, o.pieces, o.buf, o.taken, o.left = nil, nil, o.buf[:0], 0, 0
	o.keeps, o.more = false, o.more[:0]
	switch cap(o.buf) {
	case smallWrite + beside:
		smallOutputs.Put(o)
	case largeWrite:
		largeOutputs.Put(o)
	}
}

// frame appends a frame with a whole message. It writes when the buffer is full, unless o
// keeps.
func (o *output) frame(op opcode, payload []byte) error {
	if cap(o.buf)-len(o.buf) < maxHeader || len(o.pieces)+3 > maxPieces && !o.keeps {
		if err := o.full(); err != nil {
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
		if err := o.full(); err != nil {
			return err
		}
	}
}

// full makes room.
func (o *output) full() error {
	if o.keeps {
		o.extend()
		return nil
	}
	return o.flush()
}

// flush writes everything gathered.
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

// gather turns everything into pieces.
func (o *output) gather() {
	if o.taken < len(o.buf) {
		o.pieces = append(o.pieces, o.buf[o.taken:])
		o.taken = len(o.buf)
	}
}
