package muxtest_test

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
)

// Faults of what is written and read.

// byteFlippedLate flips a bit after the first MiB.
type byteFlippedLate struct {
	mux.Stream
	read atomic.Int64
}

func (st *byteFlippedLate) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	const at = 1<<20 + 5
	if end := st.read.Add(int64(n)); end-int64(n) <= at && at < end {
		p[at-(end-int64(n))] ^= 1
	}
	return n, err
}

// writeKeepsBuffer writes its argument after it has returned.
type writeKeepsBuffer struct {
	mux.Stream
	queue chan []byte
}

func newWriteKeepsBuffer(st mux.Stream) *writeKeepsBuffer {
	kept := &writeKeepsBuffer{st, make(chan []byte, 1)}
	go func() {
		for p := range kept.queue {
			<-time.After(time.Millisecond)
			if p == nil {
				st.CloseWrite()
				return
			}
			st.Write(p)
		}
	}()
	return kept
}

func (st *writeKeepsBuffer) Write(p []byte) (int, error) {
	st.queue <- p[:len(p):len(p)]
	return len(p), nil
}

func (st *writeKeepsBuffer) CloseWrite() error {
	st.queue <- nil
	return nil
}

type emptyReadBlocks struct {
	mux.Stream
	s mux.Session
}

func (st emptyReadBlocks) Read(p []byte) (int, error) {
	if len(p) == 0 {
		<-st.s.Context().Done()
	}
	return st.Stream.Read(p)
}

type emptyWriteEnds struct{ mux.Stream }

func (st emptyWriteEnds) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, st.CloseWrite()
	}
	return st.Stream.Write(p)
}

// writesInterleave writes a frame at a time.
type writesInterleave struct{ mux.Stream }

func (st writesInterleave) Write(p []byte) (n int, err error) {
	for len(p) > n && err == nil {
		var m int
		m, err = st.Stream.Write(p[n:min(n+32<<10, len(p))])
		n += m
		runtime.Gosched()
	}
	return n, err
}

// tellsReset remembers that the peer has reset the stream.
type tellsReset struct {
	mux.Stream
	reset atomic.Bool
}

func (st *tellsReset) Write(p []byte) (int, error) {
	n, err := st.Stream.Write(p)
	if errors.Is(err, mux.ErrReset) {
		st.reset.Store(true)
	}
	return n, err
}

func (st *tellsReset) result() error {
	if st.reset.Load() {
		return mux.ErrReset
	}
	return nil
}

type closeWriteTellsReset struct{ tellsReset }

func (st *closeWriteTellsReset) CloseWrite() error {
	return errors.Join(st.Stream.CloseWrite(), st.result())
}

type closeTellsReset struct{ tellsReset }

func (st *closeTellsReset) Close() error { return errors.Join(st.Stream.Close(), st.result()) }

type closeWriteNeverFails struct{ mux.Stream }

func (st closeWriteNeverFails) CloseWrite() error {
	st.Stream.CloseWrite()
	return nil
}
