package muxtest_test

import (
	"bytes"
	"io"
	"sync"

	"github.com/backdial/backdial/mux"
)

// Faults of WriteTo.

// plain is a stream without WriteTo.
type plain struct{ io.Reader }

// writeToEndsWithAll takes every end for the end of the stream.
type writeToEndsWithAll struct{ mux.Stream }

func (st writeToEndsWithAll) WriteTo(w io.Writer) (int64, error) {
	n, _ := io.Copy(w, plain{st.Stream})
	return n, nil
}

// writeToReadsAhead reads everything before it writes.
type writeToReadsAhead struct{ mux.Stream }

func (st writeToReadsAhead) WriteTo(w io.Writer) (int64, error) {
	all, err := io.ReadAll(st.Stream)
	n, writeErr := w.Write(all)
	if writeErr != nil {
		err = writeErr
	}
	return int64(n), err
}

// writeToDropsTail writes half a KiB at a time, and drops the rest at the end.
type writeToDropsTail struct{ mux.Stream }

func (st writeToDropsTail) WriteTo(w io.Writer) (n int64, err error) {
	for buf := make([]byte, 512); ; {
		_, err := io.ReadFull(st.Stream, buf)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		m, err := w.Write(buf)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
}

// writeToReusesMemory overwrites the bytes that it has handed over when it is closed.
type writeToReusesMemory struct {
	mux.Stream

	mu   sync.Mutex // guards below
	lent []byte
}

func (st *writeToReusesMemory) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(writerFunc(func(p []byte) (int, error) {
		st.mu.Lock()
		st.lent = p
		st.mu.Unlock()
		return w.Write(p)
	}), plain{st.Stream})
}

func (st *writeToReusesMemory) Close() error {
	st.mu.Lock()
	clear(st.lent)
	st.mu.Unlock()
	return st.Stream.Close()
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// writeToHandsOverTwice lets a Read get the bytes that it hands over.
type writeToHandsOverTwice struct {
	mux.Stream

	mu   sync.Mutex // guards below
	lent []byte
}

func (st *writeToHandsOverTwice) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(writerFunc(func(p []byte) (int, error) {
		st.mu.Lock()
		st.lent = bytes.Clone(p)
		st.mu.Unlock()
		return w.Write(p)
	}), plain{st.Stream})
}

func (st *writeToHandsOverTwice) Read(p []byte) (int, error) {
	st.mu.Lock()
	n := copy(p, st.lent)
	st.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	return st.Stream.Read(p)
}

// writeToForgetsWriter goes on with the stream when the writer has failed.
type writeToForgetsWriter struct{ mux.Stream }

func (st writeToForgetsWriter) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, plain{st.Stream})
	if err != nil {
		m, err := io.Copy(io.Discard, plain{st.Stream})
		return n + m, err
	}
	return n, err
}
