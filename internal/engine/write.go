package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
)

const (
	// maxQueue is how much data may wait in front of the carrier. Twice that
	// is in memory while a write is under way, and never in an idle session.
	// A larger queue makes small writes wait longer behind bulk transfers, a
	// smaller one costs more system calls.
	maxQueue = 64 << 10

	// maxFrame is the payload of one frame at most. It lets streams take turns.
	maxFrame = 32 << 10

	// minFrame is the room in the queue that is worth a frame.
	minFrame = 4 << 10

	// retirement is how long the goroutine that writes is kept, at least, when
	// there is nothing to write: a new one would have to grow its stack first.
	// Twice that is the most.
	retirement = time.Second

	// maxReplies is how many answers to the peer's frames may wait for the
	// carrier. A peer that provokes more has to read some first.
	maxReplies = 4096
)

// Queues of sessions that have something to write.
var queues = sync.Pool{New: func() any {
	b := make([]byte, 0, maxQueue+minFrame)
	return &b
}}

func putQueue(b *[]byte) {
	if b != nil && cap(*b) <= 2*maxQueue {
		*b = (*b)[:0]
		queues.Put(b)
	}
}

// appendLocked queues a frame, unless nothing more can be written.
func (s *Session) appendLocked(f Frame) {
	if s.err != nil || s.mute {
		return
	}
	if s.queue == nil {
		s.queue = queues.Get().(*[]byte)
	}
	*s.queue = s.wire.Append(*s.queue, f)
	if len(*s.queue) == 0 { // the protocol has no such frame
		putQueue(s.queue)
		s.queue = nil
		return
	}
	s.flushLocked()
}

// replyLocked queues a frame that the peer provoked, and reports whether there
// was anything to queue. Only the reader calls it. It waits while the peer
// provokes more than it reads, and fails if the peer does not read at all.
func (s *Session) replyLocked(f Frame) (queued bool, err error) {
	before := s.queuedLocked()
	s.appendLocked(f)
	if s.queuedLocked() == before {
		return false, nil
	}
	s.replies++
	if s.replies > maxReplies {
		return true, s.awaitRepliesLocked()
	}
	return true, nil
}

// awaitRepliesLocked holds up the reader until the writer has taken the
// answers. It fails if that takes so long that the peer cannot be reading them.
func (s *Session) awaitRepliesLocked() error {
	late := false
	timer := time.AfterFunc(farewell, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.taken.Broadcast()
	})
	defer timer.Stop()
	for s.replies > maxReplies && !s.mute && s.err == nil {
		if late {
			return fmt.Errorf("%w: more than %d answers wait for the peer to read them", mux.ErrProtocol, maxReplies)
		}
		s.taken.Wait()
	}
	return nil
}

// replyStrayLocked answers a frame for a stream that is gone. Of those that
// are on their way when a stream is closed, one in a batch will do.
func (s *Session) replyStrayLocked(id uint32) error {
	if _, done := s.strays[id]; done {
		return nil
	}
	queued, err := s.replyLocked(Frame{Flags: Stray, ID: id})
	if queued {
		if s.strays == nil {
			s.strays = make(map[uint32]struct{})
		}
		s.strays[id] = struct{}{}
	}
	return err
}

// appendDataLocked queues as much of p as fits, and returns how much that was:
// nothing if nothing more can be written, as the session is about to end.
func (s *Session) appendDataLocked(id uint32, p []byte) int {
	if s.err != nil || s.mute {
		return 0
	}
	n := min(len(p), maxFrame)
	if room := maxQueue - s.queuedLocked(); room < n {
		if n = room; n < minFrame {
			return 0
		}
	}
	s.appendLocked(Frame{ID: id, Length: n})
	*s.queue = append(*s.queue, p[:n]...)
	return n
}

// queuedLocked is the number of bytes in the queue.
func (s *Session) queuedLocked() int {
	if s.queue == nil {
		return 0
	}
	return len(*s.queue)
}

// awaitRoomLocked waits until there may be room in the queue for st, or
// something else has happened to it.
func (s *Session) awaitRoomLocked(st *Stream) {
	if !st.awaitsRoom {
		st.awaitsRoom = true
		s.awaitRoom = append(s.awaitRoom, st)
	}
	st.writable.Wait()
}

// wakeAwaitRoomLocked wakes those who wait for room in the queue.
func (s *Session) wakeAwaitRoomLocked() {
	for _, st := range s.awaitRoom {
		st.awaitsRoom = false
		st.writable.Broadcast()
	}
	clear(s.awaitRoom)
	s.awaitRoom = s.awaitRoom[:0]
	s.opening.Broadcast()
	s.accepting.Broadcast()
}

// flushLocked has the writer write the queue, unless it is at it.
func (s *Session) flushLocked() {
	if s.flushing {
		return
	}
	again := s.retired
	s.flushing, s.busy, s.retired = true, true, false
	switch {
	case !s.hasWriter:
		s.hasWriter = true
		s.wg.Go(s.writeLoop)
	case again: // it has not noticed yet
		s.retirement.Reset(retirement)
		fallthrough
	default:
		s.work.Signal()
	}
}

// writeLoop writes the queue whenever there is one, until it is retired or the
// session over. Close waits for it.
func (s *Session) writeLoop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retirement = time.AfterFunc(retirement, s.retireWriter)
	defer s.retirement.Stop()
	for s.flushing {
		s.writeQueueLocked()
		s.flushing = false
		s.flushed.Broadcast()
		for !s.flushing && !s.retired && s.err == nil {
			s.work.Wait()
		}
	}
	s.hasWriter = false
}

// retireWriter ends the writer, unless it has had something to do since it was
// looked at before.
func (s *Session) retireWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	if s.busy {
		s.busy = false
		s.retirement.Reset(retirement)
		return
	}
	s.retired = true
	s.work.Signal()
}

// writeQueueLocked writes until the queue is empty or the session over.
func (s *Session) writeQueueLocked() {
	for s.err == nil && !s.mute && s.queuedLocked() > 0 {
		batch := s.queue
		s.queue, s.replies, s.strays = nil, 0, nil
		s.wakeAwaitRoomLocked()
		s.taken.Broadcast()
		s.writeStart = time.Now()
		s.mu.Unlock()
		_, err := s.conn.Write(*batch)
		putQueue(batch)
		s.mu.Lock()
		s.writeStart = time.Time{}
		if err != nil && !s.mute {
			// What has arrived may be complete. The reader gets at it, and
			// finds the end.
			s.mute = true
			s.taken.Broadcast()
			time.AfterFunc(farewell, func() { s.end(s.lost(fmt.Errorf("write: %w", err))) })
		}
	}
}
