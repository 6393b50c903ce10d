package qmux

import (
	"fmt"
	"slices"
	"time"

	"github.com/backdial/backdial/mux/internal/writeloop"
)

// An out is what waits for the carrier, and who writes it. Guarded by session.Mu.
//
// A Write copies into the batch that leaves next: what is written while the writer is
// busy leaves together. Everything that is not data is only noted, and becomes frames
// when the writer takes the batch.
type out struct {
	batch   *batch         // nil for none
	limit   int            // of a record
	payload int            // of a frame
	sent    uint64         // payload of all streams
	maxData uint64         // of that, as the peer allows
	data    writeloop.Mark // after the last of it

	unannounced []*stream                // that have an id the peer has not heard of, in order
	waiting     writeloop.Turns[*stream] // who wait for room in the batch or credit of the connection
}

// maxBatch is how many bytes a batch has before frames that are not data are left to the
// next.
const maxBatch = 2 * maxQueue

// meet fits what is sent to the peer's parameters.
func (o *out) meet(p *parameters) {
	o.limit = int(min(p.maxRecordSize, sendRecordSize))
	o.payload = min(o.limit-recordOverhead, maxPayload)
	o.maxData = p.initialMaxData
}

// queued is the number of bytes in the batch.
func (o *out) queued() int {
	if o.batch == nil {
		return 0
	}
	return len(o.batch.buf)
}

// batchLocked returns the batch that leaves next.
func (s *session) batchLocked() *batch {
	o := &s.out
	if o.batch == nil {
		o.batch = newBatch(s.conn.messages == nil)
	}
	o.batch.limit = o.limit
	return o.batch
}

// room is how many bytes of data there is room for in a batch of so many bytes.
func (o *out) room(most int) uint64 { return uint64(max(most-o.queued()-maxStreamHeader-sizeLen, 0)) }

// fillLocked gives what room there is to those who wait for it, a frame to each in turn.
func (s *session) fillLocked() {
	o := &s.out
	o.waiting.Serve(func() bool {
		return o.room(maxQueue) >= minPayload && o.sent < o.maxData && s.ErrLocked() == nil && !s.writer.Muted()
	}, func(st *stream) bool {
		return s.sendFrameLocked(st) && (st.early != nil || len(st.unsent) > 0)
	})
}

// flushLocked sees to it that what there is gets written.
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

// Failed lets the reader go on for a while: what has arrived may be complete. It gets at
// it, and finds the end.
func (s written) Failed(err error) {
	time.AfterFunc(farewell, func() { s.End(s.lost(fmt.Errorf("write: %w", err))) })
}

// takeLocked returns the batch that leaves next, with all that is to be said, or nil if
// there is nothing.
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

// announceLocked has the peer hear of all new streams up to st, or of all if that is
// nil, for which its own frames are enough if there are some. Ids reach the peer in
// their order.
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
