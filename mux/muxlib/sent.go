package muxlib

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/backdial/backdial/mux"
)

// end calls tell, which ends inner or one direction of it, when everything has been
// written.
func (st *stream) end(tell func()) {
	st.mu.Lock()
	before, ends := st.ends, make(chan struct{})
	st.ends = ends
	st.mu.Unlock()
	st.s.run(func() {
		defer st.wake()
		defer close(ends)
		if before != nil {
			<-before
		}
		if !st.flushed() {
			tell = func() { giveUp(st.inner) }
		}
		tell()
	})
}

func (st *stream) wake() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.changed.Broadcast()
}

// flush is how long the rest of a Write may wait for the peer after Close.
const flush = 10 * time.Second

// flushed waits until inner has written everything, and reports whether it has.
func (st *stream) flushed() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.out == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(st.s.Context(), flush)
	defer cancel()
	defer context.AfterFunc(ctx, st.wake)()
	for st.out != nil && ctx.Err() == nil {
		st.changed.Wait()
	}
	return st.out == nil
}

// awaitSent waits until the library has sent all of the stream, including its end. For
// CloseWrite it gives up at the write deadline, and when the stream is closed or reset.
func (st *stream) awaitSent(closing bool) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	ends := st.ends
	for {
		select {
		case <-ends:
			return nil
		default:
		}
		switch {
		case st.err != nil && !closing:
			return st.err
		case st.lost != nil:
			return st.lost
		case st.writeDeadline.Passed() && !closing:
			return os.ErrDeadlineExceeded
		case st.stuck():
			return fmt.Errorf("%s: %w: the connection takes nothing", st.s.library.Name, mux.ErrUnsent)
		case st.out != nil && closing && st.s.end.stuck() == 0:
			return nil // the peer allows no more, and a Write has reported that
		}
		st.waitStuckLocked()
	}
}

// stuck reports whether the connection has taken nothing for too long.
func (st *stream) stuck() bool {
	stuck := st.s.end.stuck()
	return stuck > 0 && stuck >= st.s.Config.Linger
}

// waitStuckLocked waits until something has changed, or the connection may be stuck.
func (st *stream) waitStuckLocked() {
	timer := time.AfterFunc(max(st.s.Config.Linger-st.s.end.stuck(), time.Millisecond), st.wake)
	defer timer.Stop()
	st.changed.Wait()
}
