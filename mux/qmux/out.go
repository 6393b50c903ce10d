package qmux

import (
	"fmt"
	"slices"
	"time"
)

// An out is what waits for the carrier, and who writes it. Guarded by session.mu.
//
// A Write copies into the batch that leaves next: what is written while the writer is
// busy leaves together. Everything that is not data is only noted, and becomes frames
// when the writer takes the batch.
type out struct {
	batch   *batch // nil for none
	limit   int    // of a record
	payload int    // of a frame
	sent    uint64 // payload of all streams
	maxData uint64 // of that, as the peer allows

	unannounced []*Stream // that have an id the peer has not heard of, in order
	waiting     []*Stream // who wait for room in the batch or credit of the connection, in turn

	flushing   bool        // something is about to be written
	hasWriter  bool        // there is a goroutine for it
	busy       bool        // it has had work since it was looked at
	retired    bool        // it is to end
	retirement *time.Timer // looks at it
	writeStart time.Time   // of the write under way, zero for none
	mute       bool        // nothing more can be written
}

const (
	// retirement is how long the goroutine that writes is kept, at least, when
	// there is nothing to write: a new one would have to grow its stack first.
	// Twice that is the most.
	retirement = time.Second

	// maxBatch is how many bytes a batch has before frames that are not data are
	// left to the next.
	maxBatch = 2 * maxQueue
)

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

// room is how many bytes of data there is room for in the batch.
func (o *out) room() uint64 { return uint64(max(maxQueue-o.queued()-maxStreamHeader-sizeLen, 0)) }

// awaitRoomLocked has st send when there is room for it.
func (s *session) awaitRoomLocked(st *Stream) {
	if !st.waits {
		st.waits = true
		s.out.waiting = append(s.out.waiting, st)
	}
}

// fillLocked gives what room there is to those who wait for it, a frame to each in turn.
func (s *session) fillLocked() {
	o := &s.out
	served := 0
	for served < len(o.waiting) && o.room() >= minPayload && o.sent < o.maxData && s.err == nil && !o.mute {
		st := o.waiting[served]
		served++
		st.waits = false
		if s.sendFrameLocked(st) && len(st.early)+len(st.unsent) > 0 {
			s.awaitRoomLocked(st)
		}
	}
	o.waiting = slices.Delete(o.waiting, 0, served)
}

// flushLocked has the writer write what there is, unless it is at it.
func (s *session) flushLocked() {
	o := &s.out
	if o.flushing || o.mute || s.err != nil {
		return
	}
	again := o.retired
	o.flushing, o.busy, o.retired = true, true, false
	switch {
	case !o.hasWriter:
		o.hasWriter = true
		s.wg.Go(s.writeLoop)
	case again: // it has not noticed yet
		o.retirement.Reset(retirement)
		fallthrough
	default:
		s.work.Signal()
	}
}

// writeLoop writes whenever there is something to write, until it is retired or the
// session over. Close waits for it.
func (s *session) writeLoop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.out
	o.retirement = time.AfterFunc(retirement, s.retireWriter)
	defer o.retirement.Stop()
	for o.flushing {
		s.writeAllLocked()
		o.flushing = false
		s.flushed.Broadcast()
		for !o.flushing && !o.retired && s.err == nil {
			s.work.Wait()
		}
	}
	o.hasWriter = false
}

// retireWriter ends the writer, unless it has had something to do since it was
// looked at before.
func (s *session) retireWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.out
	if s.err != nil {
		return
	}
	if o.busy {
		o.busy = false
		o.retirement.Reset(retirement)
		return
	}
	o.retired = true
	s.work.Signal()
}

// writeAllLocked writes until there is nothing to write or the session is over.
func (s *session) writeAllLocked() {
	o := &s.out
	for s.err == nil && !o.mute {
		b := s.takeLocked()
		if b == nil {
			return
		}
		s.fillLocked()
		o.writeStart = time.Now()
		s.mu.Unlock()
		err := s.conn.write(b)
		b.release()
		s.mu.Lock()
		o.writeStart = time.Time{}
		if err != nil && !o.mute {
			// What has arrived may be complete. The reader gets at it, and
			// finds the end.
			o.mute = true
			time.AfterFunc(farewell, func() { s.end(lost(fmt.Errorf("write: %w", err))) })
		}
	}
}

// takeLocked returns the batch that leaves next, with all that is to be said, or nil if
// there is nothing.
func (s *session) takeLocked() *batch {
	b := s.batchLocked()
	s.announceLocked(nil)
	s.control.appendLocked(s, b)
	s.out.batch = nil
	if len(b.buf) == 0 {
		b.release()
		return nil
	}
	b.seal()
	return b
}

// announceLocked has the peer hear of all new streams up to st, or of all if that is
// nil, for which its own frames are enough if there are some. Ids reach the peer in
// their order.
func (s *session) announceLocked(st *Stream) {
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
