package muxtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
)

// Faults of streams.

type lostIsEnd struct{ mux.Stream }

func (st lostIsEnd) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	if errors.Is(err, mux.ErrSessionEnded) {
		err = io.EOF
	}
	return n, err
}

// hasty fails at once when the session is over.
type hasty struct {
	mux.Stream
	s mux.Session
}

func (st hasty) Read(p []byte) (int, error) {
	if err := context.Cause(st.s.Context()); err != nil {
		return 0, err
	}
	return st.Stream.Read(p)
}

// tailless keeps the last byte of a large write for the next, and forgets it if there is
// none.
type tailless struct {
	mux.Stream

	mu   sync.Mutex // guards below
	held []byte
}

func (st *tailless) Write(p []byte) (int, error) {
	st.mu.Lock()
	all := slices.Concat(st.held, p)
	end := len(all)
	if end > 128<<10 {
		end--
	}
	st.held = all[end:]
	st.mu.Unlock()
	if n, err := st.Stream.Write(all[:end]); err != nil {
		return n, err
	}
	return len(p), nil
}

type closeWriteCloses struct{ mux.Stream }

func (st closeWriteCloses) CloseWrite() error { return st.Close() }

// uncredited lets the peer send no more than a window after CloseWrite.
type uncredited struct {
	mux.Stream
	s mux.Session

	ended atomic.Bool
	read  atomic.Int64
}

func (st *uncredited) CloseWrite() error {
	st.ended.Store(true)
	return st.Stream.CloseWrite()
}

func (st *uncredited) Read(p []byte) (int, error) {
	if st.ended.Load() && st.read.Load() > 256<<10 {
		<-st.s.Context().Done()
		return 0, context.Cause(st.s.Context())
	}
	n, err := st.Stream.Read(p)
	st.read.Add(int64(n))
	return n, err
}

type timeless struct{ mux.Stream }

func (timeless) SetDeadline(time.Time) error      { return nil }
func (timeless) SetReadDeadline(time.Time) error  { return nil }
func (timeless) SetWriteDeadline(time.Time) error { return nil }

// nextCall applies a future deadline from the next call on.
type nextCall struct {
	mux.Stream
	read, write atomic.Pointer[time.Time]
}

func (st *nextCall) SetDeadline(at time.Time) error {
	return errors.Join(st.SetReadDeadline(at), st.SetWriteDeadline(at))
}

func (st *nextCall) SetReadDeadline(at time.Time) error {
	st.read.Store(&at)
	if time.Until(at) > 0 {
		return nil
	}
	return st.Stream.SetReadDeadline(at)
}

func (st *nextCall) SetWriteDeadline(at time.Time) error {
	st.write.Store(&at)
	if time.Until(at) > 0 {
		return nil
	}
	return st.Stream.SetWriteDeadline(at)
}

func (st *nextCall) Read(p []byte) (int, error) {
	if at := st.read.Load(); at != nil {
		st.Stream.SetReadDeadline(*at)
	}
	return st.Stream.Read(p)
}

func (st *nextCall) Write(p []byte) (int, error) {
	if at := st.write.Load(); at != nil {
		st.Stream.SetWriteDeadline(*at)
	}
	return st.Stream.Write(p)
}

// earliest forgets to stop the timer of the last deadline.
type earliest struct{ mux.Stream }

func (st earliest) SetReadDeadline(at time.Time) error {
	if wait := time.Until(at); wait > 0 {
		time.AfterFunc(wait, func() { st.Stream.SetReadDeadline(time.Unix(1, 0)) })
	}
	return st.Stream.SetReadDeadline(at)
}

// expired is useless after a deadline.
type expired struct {
	mux.Stream
	err atomic.Pointer[error]
}

func (st *expired) Read(p []byte) (int, error) {
	if err := st.err.Load(); err != nil {
		return 0, *err
	}
	n, err := st.Stream.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		st.err.Store(&err)
	}
	return n, err
}

// oneWindow reads no further while its streams hold too much.
type oneWindow struct {
	halfCloser
	limit int

	mu     sync.Mutex // guards below
	room   sync.Cond
	unread int
	closed bool
}

func (c *oneWindow) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.unread > c.limit && !c.closed {
		c.room.Wait()
	}
	c.mu.Unlock()
	n, err := c.halfCloser.Read(p)
	c.add(n)
	return n, err
}

func (c *oneWindow) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread += n
	c.room.Broadcast()
}

func (c *oneWindow) Close() error {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	return c.halfCloser.Close()
}

type windowed struct {
	mux.Stream
	c *oneWindow
}

func (st windowed) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	st.c.add(-n)
	return n, err
}

// offended closes the session when the peer resets a stream.
type offended struct {
	mux.Stream
	s mux.Session
}

func (st offended) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	if errors.Is(err, mux.ErrReset) {
		st.s.Close()
	}
	return n, err
}

// hopeful makes a failed Write wait as long as the session lives.
type hopeful struct {
	mux.Stream
	s mux.Session
}

func (st hopeful) Write(p []byte) (int, error) {
	n, err := st.Stream.Write(p)
	if errors.Is(err, mux.ErrReset) {
		<-st.s.Context().Done()
	}
	return n, err
}

type streamCloseOnce struct {
	mux.Stream
	closed atomic.Bool
}

func (st *streamCloseOnce) Close() error {
	if st.closed.Swap(true) {
		return net.ErrClosed
	}
	return st.Stream.Close()
}
