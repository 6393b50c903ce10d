package muxlib

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/backdial/backdial/mux"
)

// Read implements [mux.Stream].
func (st *stream) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for st.reading {
		if err := st.readErrLocked(); err != nil {
			return 0, err
		}
		st.changed.Wait()
	}
	st.reading = true
	defer func() {
		st.reading = false
		st.changed.Broadcast()
	}()
	for again := true; ; {
		if err := st.readErrLocked(); err != nil || len(p) == 0 {
			return 0, err
		}
		if st.collected {
			return st.readRestLocked(p)
		}
		st.mu.Unlock()
		n, err := st.inner.Read(p)
		st.hasRead(n)
		st.mu.Lock()
		switch {
		case n > 0 && st.err == nil:
			return n, nil
		case isTimeout(err) && st.lost != nil && !st.readDeadline.Passed():
			return 0, st.lost // the library does not know yet
		case err == nil, isTimeout(err): // the stream was closed, or the deadline moved
		case st.lost != nil && again: // it may know before it has read everything
			again = false
		default:
			return 0, st.endedLocked(st.endOfLocked(err))
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// readErrLocked is why a Read must not go on, whatever has arrived.
func (st *stream) readErrLocked() error {
	switch {
	case st.err != nil:
		return st.err
	case st.readDeadline.Passed():
		return os.ErrDeadlineExceeded
	case st.ended:
		return io.EOF
	}
	return nil
}

// endedLocked makes err the final error of Read, and returns it.
func (st *stream) endedLocked(err error) error {
	if err == io.EOF {
		st.ended = true
		st.vacateLocked()
	}
	return err
}

// endOfLocked returns the error of Read when the library's Read has failed with err.
func (st *stream) endOfLocked(err error) error {
	means := st.s.meaning(err)
	frames, id := st.frames()
	var heard Heard
	if frames != nil {
		heard = frames.Heard(id)
	}
	switch {
	case st.err != nil:
		return st.err
	case errors.Is(means, mux.ErrReset):
		return fmt.Errorf("%s: %w", st.s.library.Name, means)
	case heard.Reset:
		return fmt.Errorf("%s: %w", st.s.library.Name, mux.ErrReset)
	case heard.Ended && heard.read == heard.Received, frames == nil && err == io.EOF && st.lost == nil && !st.s.end.closed.Load():
		return io.EOF
	case st.lost != nil:
		return st.lost
	}
	return st.whyLocked(means)
}

// collect reads what the library holds: the session has ended, and the library may throw it
// away when it is closed.
func (st *stream) collect() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil {
		return
	}
	st.inner.SetReadDeadline(time.Now().Add(farewell)) // by then the library should have noticed
	for st.reading {
		st.changed.Wait()
	}
	st.reading = true
	st.mu.Unlock()
	rest, err := io.ReadAll(st.inner)
	more, again := io.ReadAll(st.inner) // it may have noticed the end before it had read everything
	st.hasRead(len(rest) + len(more))
	st.mu.Lock()
	if err == nil {
		err = again
	}
	if err == nil {
		err = io.EOF
	}
	st.rest, st.restErr = append(rest, more...), st.endOfLocked(err)
	st.collected, st.reading = true, false
	st.changed.Broadcast()
}

// readRestLocked reads what collect has kept.
func (st *stream) readRestLocked(p []byte) (int, error) {
	if len(st.rest) == 0 {
		return 0, st.endedLocked(st.restErr)
	}
	n := copy(p, st.rest)
	st.rest = st.rest[n:]
	return n, nil
}

// frames returns the session's Frames, or nil, and the stream's id there.
func (st *stream) frames() (*Frames, uint32) {
	session, ok := st.s.inner.(framed)
	id, identified := st.inner.(Identified)
	if !ok || !identified {
		return nil, 0
	}
	return session.frames(), id.StreamID()
}

// hasRead makes the session count what was read.
func (st *stream) hasRead(n int) {
	if frames, id := st.frames(); frames != nil {
		frames.hasRead(id, n)
	}
}

// whyLocked returns why the session has ended or is about to, or err if it is not.
func (st *stream) whyLocked(err error) error {
	st.mu.Unlock()
	defer st.mu.Lock()
	timer := time.NewTimer(farewell)
	defer timer.Stop()
	select {
	case <-st.s.Context().Done():
		return context.Cause(st.s.Context())
	case <-timer.C:
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("%s: %w", st.s.library.Name, err)
	}
}
