package nativemux

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/internal/shed"
	"github.com/backdial/backdial/mux"
)

// Usually a Read takes what it returns from the carrier itself, and what nobody
// reads stays there. But the carrier says neither how much that is, nor that a
// stream is what fills the window of all, and throws it away when the session
// ends. So a stream that nobody has read for a while, or never to its end, is
// pumped: the session fetches its data, as far as its budget goes and up to
// 32 KiB. That is enough to know that it is not read, and little enough for the
// carrier not to take it for one that needs a larger window. When the peer
// closes the session, all streams are pumped dry, as far as the budget goes.

// neglect is how long a stream is not read, at least, before it is pumped. It
// is short because a stream that is not read may be what stops the others.
const neglect = 100 * time.Millisecond

// enough is how much a pump fetches of a stream that is not read.
const enough = 32 << 10

// The sizes of what a pump reads at a time: it doubles while the carrier has
// that much.
const (
	smallFetch = 2 << 10
	largeFetch = 32 << 10
)

// Read implements [mux.Stream].
func (st *stream) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		switch {
		case st.discarding:
			return 0, st.readErr
		case st.readDeadline.Passed():
			return 0, os.ErrDeadlineExceeded
		case st.buffer.Len() > 0 || len(p) == 0:
			n := st.buffer.Read(p)
			st.readAt = time.Now()
			st.accountLocked()
			st.readable.Broadcast() // there is room
			return n, nil
		case st.finished:
			return 0, io.EOF
		case st.readErr != nil:
			return 0, st.readErr
		case st.reading, st.pumped:
			st.readable.Wait()
		default:
			if n := st.readCarrierLocked(p); n > 0 {
				st.readAt = time.Now()
				return n, nil
			}
		}
	}
}

// readCarrierLocked reads what the carrier has, which nobody else does.
func (st *stream) readCarrierLocked(p []byte) int {
	st.forwardLocked(st.readDeadline.At())
	st.reading = true
	n, err := st.fetchLocked(p)
	st.reading = false
	st.touched = st.touched || n < len(p) // otherwise there may be more
	st.s.watch.look(st.s)
	st.arrivedLocked(n, err)
	if st.discarding {
		return 0
	}
	return n
}

// fetchLocked calls cs.Read, without the lock.
func (st *stream) fetchLocked(p []byte) (int, error) {
	st.mu.Unlock()
	defer st.mu.Lock()
	return st.cs.Read(p)
}

// arrivedLocked notes what a fetch has returned.
func (st *stream) arrivedLocked(n int, err error) {
	st.received += uint64(n)
	if n > 0 {
		st.s.heard.Add(1)
	}
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
	case st.readErr != nil: // it was given up before it was complete
	case err == io.EOF:
		st.finished = true
	default:
		st.readErr = streamErr(err)
	}
	st.readable.Broadcast()
}

// unread reports whether st has to be looked at again, and has it pumped if it
// was not read since it was looked at before.
func (st *stream) unread() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.reading || st.pumped || st.doneLocked() {
		return false
	}
	if st.touched {
		st.touched = false
		return true
	}
	st.pumpLocked()
	return false
}

// doneLocked reports whether nothing more is to be fetched.
func (st *stream) doneLocked() bool { return st.finished || st.readErr != nil }

// await has everything fetched, and waits until want bytes have arrived in all
// or the stream is finished.
func (st *stream) await(want uint64) {
	defer st.s.arrivedWhole()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.unlimited = true
	st.pumpLocked()
	for !st.doneLocked() && st.received < want {
		st.readable.Wait()
	}
}

// pumpLocked starts the pump, unless it runs.
func (st *stream) pumpLocked() {
	st.readable.Broadcast()
	if !st.pumped {
		st.pumped = true
		st.s.spawn(st.pump)
	}
}

// pump fetches data until the stream is done.
func (st *stream) pump() {
	st.mu.Lock()
	defer st.mu.Unlock()
	for st.reading { // which comes to its end as if there were no pump
		st.readable.Wait()
	}
	if !st.discarding {
		st.forwardLocked(time.Time{})
	}
	for size := smallFetch; !st.doneLocked(); {
		st.stalled = st.hasEnoughLocked()
		st.accountLocked()
		if st.s.held.Load() > st.s.budget {
			st.mu.Unlock()
			freed := st.s.shed()
			st.mu.Lock()
			if freed {
				continue
			}
		}
		if st.hasEnoughLocked() {
			st.readable.Wait()
			continue
		}
		free := st.buffer.Space(size)
		n, err := st.fetchLocked(free)
		st.buffer.Commit(n)
		if st.discarding {
			st.buffer.Drop()
		}
		st.arrivedLocked(n, err)
		if n == len(free) {
			size = min(2*size, largeFetch)
		} else {
			size = smallFetch // what waits for the next byte is small
		}
	}
	st.accountLocked()
}

// hasEnoughLocked reports whether the pump has fetched what it may. A peer that says
// that it closes the session may go on all the same.
func (st *stream) hasEnoughLocked() bool {
	return st.buffer.Len() >= enough && (!st.unlimited || st.s.held.Load() > st.s.budget)
}

// accountLocked tells the session how much memory the stream holds now. If the
// pump stands still, the carrier is taken to hold a window more.
func (st *stream) accountLocked() {
	holds := 0
	if st.buffer.Len() > 0 { // otherwise there is only what the pump waits with
		holds = st.buffer.Memory()
	}
	if st.stalled && !st.doneLocked() {
		holds += st.windowLocked()
	}
	st.s.held.Add(int64(holds - st.accounted))
	st.accounted = holds
}

// windowLocked is what the carrier may hold of the stream: its window, if that has
// doubled whenever it could.
func (st *stream) windowLocked() int {
	size, most := st.s.windows.Stream, st.s.windows.MaxStream
	for read := st.received; read > uint64(size/2) && 0 < size && size < most; size *= 2 {
		read -= uint64(size / 2)
	}
	return min(size, most)
}

// load is what the stream holds, and when it was read.
func (st *stream) load() shed.Load {
	st.mu.Lock()
	defer st.mu.Unlock()
	return shed.Load{Holds: st.accounted, Read: st.readAt}
}

// discardLocked throws away what has arrived and what will, and makes Read
// fail with err.
func (st *stream) discardLocked(err error) {
	st.discarding = true
	st.readErr = err
	st.buffer.Drop()
	st.accountLocked()
	st.readDeadline.Stop()
	st.readable.Broadcast()
	st.forwardLocked(past) // wakes the fetcher
}

// shed resets streams until a quarter of the session's memory is free: looking at
// all of them has to be worth it. One that holds all there is may stay. It reports
// whether there was any other.
func (s *session) shed() bool {
	loaded := shed.Order(s.live(), (*stream).load)
	if len(loaded) < 2 {
		return false
	}
	err := fmt.Errorf("native: %w: it was read too slowly, and the session's receive buffer of %d bytes is full",
		mux.ErrReset, s.budget)
	for _, st := range loaded[:len(loaded)-1] {
		if s.held.Load() <= s.budget/4*3 {
			break
		}
		st.refuse(err)
	}
	return true
}

// A watch looks at a session's streams now and then, while there are any that
// nobody reads.
type watch struct {
	due atomic.Bool // the timer runs

	mu      sync.Mutex // guards below
	timer   *time.Timer
	stopped bool
}

// look has the streams of s looked at before long.
func (w *watch) look(s *session) {
	if w.due.Load() || w.due.Swap(true) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
	case w.timer == nil:
		w.timer = time.AfterFunc(neglect, func() { w.tick(s) })
	default:
		w.timer.Reset(neglect)
	}
}

func (w *watch) tick(s *session) {
	w.due.Store(false)
	again := false
	for _, st := range s.live() {
		if st.unread() {
			again = true
		}
	}
	if again {
		w.look(s)
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
