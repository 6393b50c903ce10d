package muxlib

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/backdial/backdial/mux"
)

// piece is how much of a Write the library gets at a time. A Write that ends at its
// deadline or by Close leaves one piece with the library, which writes it all the same:
// some libraries garble a write that they abandon, or forget half of it.
const piece = 32 << 10

var pieces = sync.Pool{New: func() any { b := make([]byte, 0, piece); return &b }}

// Write implements [mux.Stream]. It returns when the library has written all of p, or has
// all of it and the connection is stuck. If it fails, it counts what the library has.
func (st *stream) Write(p []byte) (n int, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for st.writing {
		if err := st.writeErrLocked(); err != nil {
			return 0, err
		}
		st.changed.Wait()
	}
	st.writing = true
	defer func() {
		st.writing = false
		st.changed.Broadcast()
	}()
	for {
		switch err := st.writeErrLocked(); {
		case err == os.ErrDeadlineExceeded && n > 0 && n == len(p):
			return n, nil
		case err != nil:
			return n, err
		case st.out == nil && n == len(p):
			return n, nil
		case st.out == nil && st.s.pump(st, p[n:]):
			n += len(*st.out)
		case n == len(p) && st.stuck():
			return n, nil // the library writes it when it can
		case n == len(p):
			st.waitStuckLocked()
		default:
			st.changed.Wait()
		}
	}
}

// writeErrLocked is why a Write must not go on.
func (st *stream) writeErrLocked() error {
	switch {
	case st.err != nil:
		return st.err
	case st.finished:
		return errStreamHalfClosed
	case st.writeDeadline.Passed():
		return os.ErrDeadlineExceeded
	}
	return cmp.Or(st.lost, st.writeErr)
}

// pump makes the library write the beginning of p on st, which is locked. It returns
// false if the session closes or has ended: st then learns why.
func (s *session) pump(st *stream, p []byte) bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.UseErrLocked() != nil {
		return false
	}
	st.out = pieces.Get().(*[]byte)
	*st.out = append((*st.out)[:0], p[:min(len(p), piece)]...)
	s.WG.Go(st.pump)
	return true
}

func (st *stream) pump() {
	st.mu.Lock()
	out := *st.out
	st.mu.Unlock()
	_, err := st.inner.Write(out)
	if err != nil {
		err = st.writeFailed(err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err == nil { // otherwise the library may still read it
		pieces.Put(st.out)
	}
	st.out = nil
	st.writeErr = cmp.Or(st.writeErr, err)
	st.changed.Broadcast()
}

// writeFailed returns the error of Write when the library's Write has failed with err.
func (st *stream) writeFailed(err error) error {
	means := st.s.meaning(err)
	if errors.Is(means, mux.ErrReset) {
		return fmt.Errorf("%s: %w", st.s.library.Name, means)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if why := cmp.Or(st.err, st.lost); why != nil {
		return why
	}
	return st.whyLocked(means)
}
