package qmux

import (
	"fmt"
	"slices"
	"time"

	"github.com/backdial/backdial/mux/internal/writeloop"
)

// out holds what waits for the carrier. Guarded by session.Mu.
//
// A Write copies into the batch that is sent next, so what is written while the writer is
// busy is sent together. Everything except data is only noted, and becomes frames when
// the writer takes the batch.
type out struct {
	batch   *batch         // or nil
	limit   int            // of a record
	payload int            // of a frame
	sent    uint64         // payload bytes of all streams
	maxData uint64         // how much of that the peer allows
	data    writeloop.Mark // after the last of it

	unannounced []*stream                // with an id that the peer does not know yet, in order
	waiting     writeloop.Turns[*stream] // that wait for room in the batch or for the connection's credit
}

// maxBatch is the size of a batch from which on frames without data wait for the next
// one.
const maxBatch = 2 * writeloop.LeastRoom

// meetLocked applies the peer's parameters to what is sent.
func (o *out) meetLocked(p *parameters) {
	o.limit = int(min(p.maxRecordSize, sendRecordSize))
	o.payload = min(o.limit-recordOverhead, maxPayload)
	o.maxData = p.initialMaxData
}

// queuedLocked is the number of bytes in the batch.
func (o *out) queuedLocked() int {
	if o.batch == nil {
		return 0
	}
	return len(o.batch.buf)
}

// batchLocked returns the batch that is sent next.
func (s *session) batchLocked() *batch {
	o := &s.out
	if o.batch == nil {
		o.batch = newBatch(s.conn.messages == nil)
		o.batch.limit = o.limit
		s.greeting.sayFirst(s.version, o.batch)
	}
	o.batch.limit = o.limit
	return o.batch
}

// roomLocked is how many bytes of data still fit into a batch of at most so many bytes.
func (o *out) roomLocked(most int) uint64 {
	return uint64(max(most-o.queuedLocked()-maxStreamHeader-sizeLen, 0))
}

// fillLocked shares the room among the streams that wait for it, a frame to each in turn.
func (s *session) fillLocked() {
	o := &s.out
	o.waiting.Serve(func() bool {
		return o.roomLocked(s.writer.Room()) >= minPayload && o.sent < o.maxData && s.ErrLocked() == nil && !s.writer.Muted()
	}, func(st *stream) bool {
		return s.sendFrameLocked(st) && (st.early != nil || len(st.unsent) > 0)
	})
}

// flushLocked starts the writer if there is something to write.
func (s *session) flushLocked() { s.writer.Flush() }

// A written is a session as package writeloop sees it.
type written struct{ *session }

var _ writeloop.Session = written{}

func (s written) Take() (writeloop.Batch, bool) {
	b := s.takeLocked()
	if b == nil {
		return nil, false
	}
	s.fillLocked()
	return b, true
}

func (s written) Over() bool { return s.ErrLocked() != nil }

func (s written) Took(after time.Duration) { s.TookLocked(after) }

func (s written) Flushed() { s.flushed.Broadcast() }

// Failed lets the reader go on for a while: what has arrived may be complete, and the
// reader finds its end.
func (s written) Failed(err error) {
	time.AfterFunc(farewell, func() { s.End(s.lost(fmt.Errorf("write: %w", err))) })
}

// takeLocked returns the batch to send next, including all notes, or nil if there is
// nothing to send.
func (s *session) takeLocked() *batch {
	b := s.batchLocked()
	s.announceLocked(nil)
	s.control.appendLocked(s, b)
	s.out.batch = nil
	if len(b.buf) == 0 {
		b.Release()
		return nil
	}
	b.seal()
	return b
}

// announceLocked tells the peer of all new streams up to st, or of all new streams if st
// is nil. A stream's own frames announce it if there are any. Ids reach the peer in
// order.
func (s *session) announceLocked(st *stream) {
	if st != nil && st.announced {
		return
	}
	o := &s.out
	for len(o.unannounced) > 0 {
		next := o.unannounced[0]
		o.unannounced = slices.Delete(o.unannounced, 0, 1)
		next.announced = true
		if next == st {
			break
		}
		if !s.appendPendingLocked(s.batchLocked(), next) {
			s.batchLocked().data(next, frame{typ: frameStream, id: next.id}, nil)
		}
	}
}
