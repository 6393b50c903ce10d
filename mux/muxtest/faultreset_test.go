package muxtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
)

// Faults of Reset.

type resetIsClose struct{ mux.Stream }

func (st resetIsClose) Reset() error { return st.Close() }

// codeDropped resets without the code that it was given.
type codeDropped struct{ mux.Stream }

func (st codeDropped) ResetWithCode(uint32) error { return st.Stream.Reset() }

// resetIsEnd takes a reset by the peer for an orderly end.
type resetIsEnd struct{ mux.Stream }

func (st resetIsEnd) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	if errors.Is(err, mux.ErrReset) {
		err = io.EOF
	}
	return n, err
}

// resetWaits waits until the peer knows.
type resetWaits struct {
	mux.Stream
	s mux.Session
}

func (st resetWaits) Reset() error {
	err := st.Stream.Reset()
	st.s.Ping(st.s.Context())
	return err
}

// resetSleepsOn does not wake a Read that waits.
type resetSleepsOn struct {
	mux.Stream
	s     mux.Session
	reset atomic.Bool
}

func (st *resetSleepsOn) Reset() error {
	st.reset.Store(true)
	return st.Stream.Reset()
}

func (st *resetSleepsOn) Read(p []byte) (int, error) {
	before := st.reset.Load()
	n, err := st.Stream.Read(p)
	if st.reset.Load() && !before {
		<-st.s.Context().Done()
	}
	return n, err
}

type resetEndsSession struct {
	mux.Stream
	s mux.Session
}

func (st resetEndsSession) Reset() error {
	st.Stream.Reset()
	return st.s.Close()
}

// resetStaysInUse counts streams forever that were reset.
type resetStaysInUse struct {
	mux.Session
	resets atomic.Int64
}

func (s *resetStaysInUse) Open(ctx context.Context) (mux.Stream, error) {
	return s.counted(s.Session.Open(ctx))
}

func (s *resetStaysInUse) Accept(ctx context.Context) (mux.Stream, error) {
	return s.counted(s.Session.Accept(ctx))
}

func (s *resetStaysInUse) Streams() int { return s.Session.Streams() + int(s.resets.Load()) }

func (s *resetStaysInUse) counted(st mux.Stream, err error) (mux.Stream, error) {
	if err != nil {
		return nil, err
	}
	return resetCounted{st, s}, nil
}

type resetCounted struct {
	mux.Stream
	s *resetStaysInUse
}

func (st resetCounted) Reset() error {
	st.s.resets.Add(1)
	return st.Stream.Reset()
}

// resetUndoesClose closes a moment later, if it is not reset before.
type resetUndoesClose struct {
	mux.Stream
	closed atomic.Bool
}

func (st *resetUndoesClose) Close() error {
	if !st.closed.Swap(true) {
		time.AfterFunc(100*time.Millisecond, func() { st.Stream.Close() })
	}
	return nil
}

type resetOnce struct {
	mux.Stream
	reset atomic.Bool
}

func (st *resetOnce) Reset() error {
	if st.reset.Swap(true) {
		return net.ErrClosed
	}
	return st.Stream.Reset()
}

// checkIsBlind does not see a cut until it has been read.
type checkIsBlind struct{ mux.Stream }

func (checkIsBlind) Check() error { return nil }

// checkTakesEndForCut reports a cut whenever there is nothing more to read.
type checkTakesEndForCut struct {
	mux.Stream
	ended atomic.Bool
}

func (st *checkTakesEndForCut) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	if err != nil {
		st.ended.Store(true)
	}
	return n, err
}

func (st *checkTakesEndForCut) Check() error {
	if st.ended.Load() {
		return mux.ErrReset
	}
	return st.Stream.(mux.Checker).Check()
}
