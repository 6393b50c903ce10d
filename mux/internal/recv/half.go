// Package recv is the receiving half of streams: what has arrived and nobody has read
// yet, the calls that wait for it, and the memory that all streams of a session use
// together.
package recv

import (
	"sync"
	"time"

	"github.com/backdial/backdial/mux/internal/deadline"
	"github.com/backdial/backdial/mux/internal/readbuf"
)

// A Half is the receiving half of a stream: its state, and its unread bytes. It does not
// know how bytes arrive: that is for the [Supply] with which it is read.
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
// What arrives for a discarding half is thrown away.
//
// Only one goroutine at a time may put bytes into its buffer. Methods whose names end in
// Locked are called with the half locked. Its lock is taken before that of the session.
type Half struct {
	budget *Budget // of a Pushed; otherwise nil

	mu       sync.Mutex // guards below
	state    State
	drives   bool      // a call that has the reader's role waits for a message
	waits    int32     // calls that wait for whoever has the role
	err      error     // what Read returns, if state is Failed or Discarding
	readable sync.Cond // wakes Read
	deadline deadline.Deadline
	buffer   readbuf.Buffer // unread bytes
}

// A State is the state of a receiving half.
type State uint8

const (
	Open       State = iota // more may arrive
	Finished                // the peer has sent everything, and the user may read it
	Failed                  // nothing more arrives, and this is not everything
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

// WakeLocked wakes all waiters, including Reads.
func (h *Half) WakeLocked() {
	h.readable.Broadcast()
	if h.waits > 0 {
		h.budget.Role.waiting.Add(-h.waits)
		h.waits = 0
	}
	if h.drives {
		h.budget.Role.conn.Interrupt()
		h.drives = false
	}
}

// StateLocked is the state of h.
func (h *Half) StateLocked() State { return h.state }

// EndLocked changes the state of h; nothing else does. Read then fails with err, which is
// nil for Finished. What has arrived can still be read, unless h discards it.
//
// States only move from top to bottom. EndLocked does nothing if h is already in state
// as, or beyond it; a finished half does not fail. Only a discarding half changes its
// error: the last Close or Reset of the user decides it.
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

// ErrLocked is why Read fails once it has returned what has arrived. It is nil while more
// may arrive, and if the peer has sent everything.
func (h *Half) ErrLocked() error { return h.err }

// SetDeadlineLocked is the stream's SetReadDeadline.
func (h *Half) SetDeadlineLocked(t time.Time) error {
	if h.state == Discarding {
		return h.err
	}
	h.deadline.Set(t, h)
	return nil
}

// DeadlineLocked returns the read deadline, or zero for none.
func (h *Half) DeadlineLocked() time.Time { return h.deadline.At() }

// SpaceLocked returns room in the buffer for at least one of the next n bytes, and at
// most for all of them. The caller fills it with h unlocked, and then calls CommitLocked.
func (h *Half) SpaceLocked(n int) []byte { return h.buffer.Space(n) }

// CommitLocked notes that n bytes of the room from SpaceLocked have been filled.
func (h *Half) CommitLocked(n int) {
	h.buffer.Commit(n)
	if h.state == Discarding {
		h.buffer.Drop()
	}
	h.WakeLocked()
}

// BufferedLocked is how many unread bytes are in the buffer.
func (h *Half) BufferedLocked() int { return h.buffer.Len() }

// MemoryLocked is how many bytes of memory hold them.
func (h *Half) MemoryLocked() int { return h.buffer.Memory() }
