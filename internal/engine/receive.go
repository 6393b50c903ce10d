package engine

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/backdial/backdial/mux"
)

// Read implements [mux.Stream].
func (st *Stream) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		switch {
		case st.discarding:
			return 0, st.readErr
		case st.readDeadline.passed():
			return 0, os.ErrDeadlineExceeded
		case st.buffer.size > 0 || len(p) == 0:
			n := st.buffer.read(p)
			st.consumed += uint64(n)
			st.s.unread.Add(-int64(n))
			st.extendLocked()
			return n, nil
		case st.finished:
			return 0, io.EOF
		case st.readErr != nil:
			return 0, st.readErr
		}
		st.readable.Wait()
	}
}

// extendLocked lets the peer send more, once that is worth a frame.
func (st *Stream) extendLocked() {
	window := uint64(st.s.config.Window)
	more := st.consumed + window - st.allowed
	if more < window/2 || st.finished || st.readErr != nil {
		return
	}
	st.allowed += more
	credit := st.creditLocked()
	credit.Grant = uint32(more)
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.s.appendLocked(Frame{ID: st.id, Credit: credit})
}

// creditLocked is what the peer may send, in the absolute form.
func (st *Stream) creditLocked() Credit {
	return Credit{Consumed: uint32(st.consumed), Window: uint32(st.allowed - st.consumed)}
}

// receive takes the next n bytes off r, or fewer if nobody wants to read them.
// It returns how many it took. Only the session's reader calls it.
func (st *Stream) receive(r *bufio.Reader, n int) (taken int, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.finished:
		return 0, fmt.Errorf("%w: data on stream %d after its end", mux.ErrProtocol, st.id)
	case st.received+uint64(n) > st.allowed:
		return 0, fmt.Errorf("%w: %d bytes more on stream %d than it was allowed", mux.ErrProtocol, st.received+uint64(n)-st.allowed, st.id)
	}
	for taken < n && !st.discarding && err == nil {
		free := st.buffer.space(n - taken)
		st.mu.Unlock()
		var m int
		m, err = r.Read(free)
		st.mu.Lock()
		taken += m
		st.commitLocked(m)
	}
	return taken, err
}

func (st *Stream) commitLocked(n int) {
	st.buffer.commit(n)
	st.received += uint64(n)
	if st.discarding {
		st.buffer.drop()
		return
	}
	st.s.unread.Add(int64(n))
	st.readable.Broadcast()
}

// finish notes that the peer writes no more.
func (st *Stream) finish() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.finished {
		return fmt.Errorf("%w: second end of stream %d", mux.ErrProtocol, st.id)
	}
	if st.readErr != nil {
		return nil // it was given up before it was complete
	}
	st.finished = true
	st.readable.Broadcast()
	return nil
}

// discardLocked throws away what has arrived and what will, and makes Read
// fail with err.
func (st *Stream) discardLocked(err error) {
	st.discarding = true
	st.readErr = err
	st.s.unread.Add(-int64(st.buffer.drop()))
	st.readDeadline.stop()
	st.readable.Broadcast()
}

// buffered is the number of bytes that have arrived and were not read.
func (st *Stream) buffered() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.buffer.size
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
