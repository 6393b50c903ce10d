// Package recv is the receiving half of streams: what has arrived and was not read yet,
// who waits for it, and the memory that all streams of a session take together.
package recv

import (
	"sync"
	"time"

	"github.com/backdial/backdial/mux/internal/deadline"
	"github.com/backdial/backdial/mux/internal/readbuf"
)

// A Half is the receiving half of a stream: its state, and what has arrived and was not read.
// It does not know how bytes arrive: that is for the [Supply] with which it is read.
//
//	         ┌──────────┐      the peer has sent all       ┌──────────┐
//	new ───► │   open   ├─────────────────────────────────►│ finished │  Read: the rest, then io.EOF
//	         └──┬────┬──┘                                  └────┬─────┘
//	            │    │ the peer resets the stream,              │
//	            │    │ or the session is lost                   │ Close and Reset of this end,
//	            │    │              ┌────────┐                  │ and a stream that is abandoned
//	            │    └─────────────►│ failed ├──────────────────┤
//	            │                   └────────┘                  ▼
//	            │          Read: the rest, then why       ┌────────────┐
//	            └────────────────────────────────────────►│ discarding │  Read: why
//	                                                      └────────────┘
//
// What arrives for a half that discards is thrown away.
//
// One goroutine at a time puts bytes into its buffer. Methods whose names end in Locked are
// called with the half locked. Its lock is taken before that of the session.
type Half struct {
	mu       sync.Mutex // guards below
	state    State
	err      error     // why Read fails, if state is Failed or Discarding
	readable sync.Cond // Read may go on
	deadline deadline.Deadline
	buffer   readbuf.Buffer // what has arrived
}

// A State is how far the receiving half of a stream has come.
type State uint8

const (
	Open       State = iota // more may arrive
	Finished                // the peer has sent all, and the user may read it
	Failed                  // nothing more arrives, although that is not all
	Discarding              // nobody reads any more
)

// Init makes h the receiving half of a new stream.
func (h *Half) Init() { h.readable.L = &h.mu }

// Lock locks h.
func (h *Half) Lock() { h.mu.Lock() }

// Unlock unlocks h.
func (h *Half) Unlock() { h.mu.Unlock() }

// WaitLocked waits, with h unlocked, until WakeLocked is called.
func (h *Half) WaitLocked() { h.readable.Wait() }

// WakeLocked has all that wait look again, Reads as well.
func (h *Half) WakeLocked() { h.readable.Broadcast() }

// StateLocked is the state of h.
func (h *Half) StateLocked() State { return h.state }

// EndLocked moves h to another state, which nothing else does. Read fails with err then; for
// Finished it is nil. What has arrived can still be read, unless h discards it.
//
// States only follow each other from top to bottom; nothing happens if h is in this state, or
// beyond it, already, and a half that has finished does not fail. Only one that discards
// changes its reason: the user who closes the stream last gives it.
func (h *Half) EndLocked(as State, err error) {
	if as < h.state || as == h.state && as != Discarding || h.state == Finished && as == Failed {
		return
	}
	h.state, h.err = as, err
	if as == Discarding {
		h.buffer.Drop()
		h.deadline.Stop()
	}
	h.WakeLocked()
}

// ErrLocked is why Read fails once it has returned what has arrived. It is nil while more may
// arrive, and if the peer has sent all.
func (h *Half) ErrLocked() error { return h.err }

// SetDeadlineLocked is SetReadDeadline of the stream.
func (h *Half) SetDeadlineLocked(t time.Time) error {
	if h.state == Discarding {
		return h.err
	}
	h.deadline.Set(t, &h.readable)
	return nil
}

// DeadlineLocked is when Read ends without having read anything, or zero for never.
func (h *Half) DeadlineLocked() time.Time { return h.deadline.At() }

// SpaceLocked returns room in the buffer for at least one of the next n bytes, and at most
// for all. It is filled with h unlocked, until CommitLocked is called.
func (h *Half) SpaceLocked(n int) []byte { return h.buffer.Space(n) }

// CommitLocked notes that n bytes have been put into what SpaceLocked has returned.
func (h *Half) CommitLocked(n int) {
	h.buffer.Commit(n)
	if h.state == Discarding {
		h.buffer.Drop()
	}
	h.WakeLocked()
}

// BufferedLocked is how many bytes have arrived in the buffer and were not read.
func (h *Half) BufferedLocked() int { return h.buffer.Len() }

// MemoryLocked is how many bytes of memory hold what was not read.
func (h *Half) MemoryLocked() int { return h.buffer.Memory() }
