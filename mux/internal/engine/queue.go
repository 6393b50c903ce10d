package engine

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/writeloop"
)

const (
	// maxFrame is the largest payload of one frame. It lets streams take turns.
	maxFrame = 32 << 10

	// minFrame is the least room in the queue that is worth a frame.
	minFrame = 4 << 10

	// maxReplies is how many answers to the peer's frames may wait for the carrier. A peer
	// that provokes more must first read some.
	maxReplies = 4096
)

// queue holds frames that are sent together.
type queue struct {
	buf    []byte
	pieces [][]byte // memory for Messages
	most   int      // bytes of a message
}

// maxMessageSize is the largest message of a carrier that has messages. Most queues fit.
// Larger messages may not get through proxies.
const maxMessageSize = 68 << 10

// queues are shared by the sessions that have something to write.
var queues = sync.Pool{New: func() any { return &queue{buf: make([]byte, 0, writeloop.LeastRoom+minFrame)} }}

// Messages implements [writeloop.Batch].
func (q *queue) Messages() [][]byte {
	q.pieces = slices.AppendSeq(q.pieces, slices.Chunk(q.buf, q.most))
	return q.pieces
}

// Release returns q to the pool. A queue that has grown too large is left to the
// collector.
func (q *queue) Release() {
	if cap(q.buf) <= writeloop.MostBuffer {
		clear(q.pieces)
		q.buf, q.pieces = q.buf[:0], q.pieces[:0]
		queues.Put(q)
	}
}

// appendLocked queues a frame, and starts the writer.
func (s *session) appendLocked(f Frame) {
	if s.queueLocked(f) {
		s.writer.Flush()
	}
}

// queueLocked queues a frame, unless nothing more may be written or the protocol has no such
// frame.
func (s *session) queueLocked(f Frame) bool {
	if s.ErrLocked() != nil || s.writer.Muted() {
		return false
	}
	if s.queue == nil {
		s.queue = queues.Get().(*queue)
		s.queue.most = s.maxMessage
	}
	s.queue.buf = s.wire.Append(s.queue.buf, f)
	if len(s.queue.buf) == 0 {
		s.queue.Release()
		s.queue = nil
		return false
	}
	return true
}

// replyLocked queues a frame that the peer provoked, and reports whether there was
// anything to queue. Only the reader calls it. It waits while the peer provokes more than
// it reads, and fails if the peer does not read at all.
func (s *session) replyLocked(f Frame) (queued bool, err error) {
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

// awaitRepliesLocked blocks the reader until the writer has taken the answers. It fails
// if that takes so long that the peer cannot be reading them.
func (s *session) awaitRepliesLocked() error {
	late := false
	timer := time.AfterFunc(farewell, func() {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		late = true
		s.taken.Broadcast()
	})
	defer timer.Stop()
	for s.replies > maxReplies && !s.writer.Muted() && s.ErrLocked() == nil {
		if late {
			return fmt.Errorf("%w: more than %d answers wait for the peer to read them", mux.ErrProtocol, maxReplies)
		}
		s.taken.Wait()
	}
	return nil
}

// replyStrayLocked answers a frame for a stream that is gone. When a stream is closed
// many may be on their way: one answer per batch is enough.
func (s *session) replyStrayLocked(id uint32) error {
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

// appendDataLocked queues as much of p as fits, and returns how much that was. It is
// nothing if the session is about to end and nothing more may be written.
func (s *session) appendDataLocked(id uint32, p []byte) int {
	if s.ErrLocked() != nil || s.writer.Muted() {
		return 0
	}
	n := min(len(p), maxFrame)
	if room := s.writer.Room() - s.queuedLocked(); room < n {
		if n = room; n < minFrame {
			return 0
		}
	}
	s.appendLocked(Frame{ID: id, Length: n})
	s.queue.buf = s.writer.Reserve(s.queue.buf, n)
	s.queue.buf = append(s.queue.buf, p[:n]...)
	return n
}

// hasRoomLocked reports whether the queue has room for data.
func (s *session) hasRoomLocked() bool { return s.writer.Room()-s.queuedLocked() >= minFrame }

// queuedLocked is the number of bytes in the queue.
func (s *session) queuedLocked() int {
	if s.queue == nil {
		return 0
	}
	return len(s.queue.buf)
}

// written is a session as seen by package writeloop.
type written struct{ *session }

var _ writeloop.Session = written{}

// Take gives the room that it makes to the streams that wait for it.
func (s written) Take() (writeloop.Batch, bool) {
	q := s.queue
	if q == nil {
		return nil, false
	}
	s.queue, s.replies, s.strays = nil, 0, nil
	s.waiting.Serve(s.hasRoomLocked, s.sendFrameLocked)
	s.WakeOpenLocked()
	s.WakeAcceptLocked()
	s.taken.Broadcast()
	return q, true
}

func (s written) Over() bool { return s.ErrLocked() != nil }

func (s written) Took(after time.Duration) { s.TookLocked(after) }

func (s written) Flushed() { s.flushed.Broadcast() }

// Failed lets the reader go on for a while: what has arrived may be complete, and the
// reader finds its end.
func (s written) Failed(err error) {
	s.taken.Broadcast()
	time.AfterFunc(farewell, func() { s.End(s.lost(fmt.Errorf("write: %w", err))) })
}
