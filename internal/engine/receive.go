package engine

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/backdial/backdial/internal/readbuf"
	"github.com/backdial/backdial/internal/shed"
	"github.com/backdial/backdial/mux"
)

// Read implements [mux.Stream].
func (st *Stream) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		ready, err := st.readyLocked(len(p))
		if err != nil {
			return 0, err
		}
		if ready {
			n := st.buffer.Read(p)
			st.consumeLocked(n)
			return n, nil
		}
		st.readable.Wait()
	}
}

// readyLocked reports whether a Read of up to n bytes would return some, or fail and why.
// Otherwise it waits.
func (st *Stream) readyLocked(n int) (bool, error) {
	switch {
	case st.discarding:
		return false, st.readErr
	case st.readDeadline.Passed():
		return false, os.ErrDeadlineExceeded
	case n == 0:
		return true, nil
	case st.buffer.Lent(): // to a WriteTo, whose bytes come first
		return false, nil
	case st.buffer.Len() > 0:
		return true, nil
	case st.finished:
		return false, io.EOF
	}
	return false, st.readErr
}

// WriteTo implements [mux.WriterTo].
func (st *Stream) WriteTo(w io.Writer) (int64, error) {
	return readbuf.PassOn(w, st.lend, st.giveBack)
}

// lend waits for bytes and returns those that came first.
func (st *Stream) lend() ([]byte, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		ready, err := st.readyLocked(1)
		if err != nil {
			return nil, err
		}
		if ready {
			return st.buffer.Lend(), nil
		}
		st.readable.Wait()
	}
}

// giveBack ends what lend began, of which n bytes have been passed on.
func (st *Stream) giveBack(n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.buffer.Return(n)
	st.consumeLocked(n)
	st.readable.Broadcast() // other readers may go on
}

// consumeLocked notes that n bytes more have been read.
func (st *Stream) consumeLocked(n int) {
	st.consumed += uint64(n)
	st.accountLocked()
	st.extendLocked()
}

// Check implements [mux.Checker].
func (st *Stream) Check() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.finished && !st.discarding {
		return nil
	}
	return st.readErr
}

// creditLocked is what the peer may send, in the absolute form.
func (st *Stream) creditLocked() Credit {
	return Credit{Consumed: uint32(st.consumed), Window: uint32(st.allowed - st.consumed)}
}

// receive takes the next n bytes off r, or fewer if nobody wants to read them.
// It returns how many it took, and whether the peer does not have to be told
// that nobody does. Only the session's reader calls it.
func (st *Stream) receive(r *bufio.Reader, n int) (taken int, wanted bool, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.finished {
		// Libraries send it if Write is called while Close is. They do not
		// expect to be reset for it.
		return 0, true, nil
	}
	if over := st.received + uint64(n); over > st.allowed {
		return 0, false, fmt.Errorf("%w: %d bytes more on stream %d than it was allowed", mux.ErrProtocol, over-st.allowed, st.id)
	}
	for taken < n && !st.discarding && err == nil {
		free := st.buffer.Space(n - taken)
		st.mu.Unlock()
		var m int
		m, err = r.Read(free)
		st.mu.Lock()
		taken += m
		st.received += uint64(m)
		st.buffer.Commit(m)
		if st.discarding {
			st.buffer.Drop()
		}
		st.accountLocked()
		st.readable.Broadcast()
		if st.s.windows.Held.Load() > int64(st.s.config.ReceiveBuffer) {
			st.mu.Unlock()
			st.s.shed()
			st.mu.Lock()
		}
	}
	return taken, !st.discarding, err
}

// accountLocked tells the session how much memory the stream holds now.
func (st *Stream) accountLocked() {
	st.s.windows.Held.Add(int64(st.buffer.Memory() - st.accounted))
	st.accounted = st.buffer.Memory()
}

// load is what the stream holds, and when its reader was so far.
func (st *Stream) load() shed.Load {
	st.mu.Lock()
	defer st.mu.Unlock()
	return shed.Load{Holds: st.buffer.Memory(), Read: st.s.windows.Extended(&st.window)}
}

// finish notes that the peer writes no more.
func (st *Stream) finish() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.readErr != nil {
		return // it was given up before it was complete
	}
	st.finished = true
	st.s.windows.Shrink(&st.window)
	st.readable.Broadcast()
}

// discardLocked throws away what has arrived and what will, and makes Read
// fail with err.
func (st *Stream) discardLocked(err error) {
	st.discarding = true
	st.readErr = err
	st.buffer.Drop()
	st.accountLocked()
	st.s.windows.Shrink(&st.window)
	st.readDeadline.Stop()
	st.readable.Broadcast()
}

// refuse gives the stream up for the reason err and tells the peer.
func (st *Stream) refuse(err error) {
	st.mu.Lock()
	credit := st.creditLocked()
	st.mu.Unlock()
	st.s.mu.Lock()
	st.s.appendLocked(Frame{Flags: Reset, ID: st.id, Credit: credit})
	st.s.mu.Unlock()
	st.abort(err, true)
}
