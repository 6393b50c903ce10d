package muxtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
)

// Faults of sessions and of what they run on.

// forgetful accepts nothing when the session is over.
type forgetful struct{ mux.Session }

func (s forgetful) Accept(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Accept(ctx)
	if err == nil && s.Context().Err() != nil {
		return nil, context.Cause(s.Context())
	}
	return st, err
}

// mutable throws away what is written once it is muted.
type mutable struct {
	halfCloser
	muted atomic.Bool
}

func (c *mutable) Write(p []byte) (int, error) {
	if c.muted.Load() {
		return len(p), nil
	}
	return c.halfCloser.Write(p)
}

type muting struct {
	mux.Session
	c *mutable
}

func (s muting) Close() error {
	s.c.muted.Store(true)
	return s.Session.Close()
}

// locking is locked while it writes.
type locking struct {
	halfCloser
	writing sync.Mutex
}

func (c *locking) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.halfCloser.Write(p)
}

// locked takes the connection's lock to set a deadline.
type locked struct {
	mux.Stream
	c *locking
}

func (st locked) SetReadDeadline(at time.Time) error {
	st.c.writing.Lock()
	defer st.c.writing.Unlock()
	return st.Stream.SetReadDeadline(at)
}

func (st locked) SetWriteDeadline(at time.Time) error {
	st.c.writing.Lock()
	defer st.c.writing.Unlock()
	return st.Stream.SetWriteDeadline(at)
}

// mistaking returns errors that match other instead of target.
func mistaking(target, other error) faulty {
	mistake := func(err error) error {
		if errors.Is(err, target) {
			return fmt.Errorf("%w: %v", other, err)
		}
		return err
	}
	return func(sound start) start {
		s := sessions(func(s mux.Session) mux.Session { return mistaken{s, mistake} })(sound)
		return streams(func(_ mux.Session, st mux.Stream) mux.Stream { return mistakenStream{st, mistake} })(s)
	}
}

type mistaken struct {
	mux.Session
	mistake func(error) error
}

func (s mistaken) Open(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Open(ctx)
	return st, s.mistake(err)
}

func (s mistaken) Accept(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Accept(ctx)
	return st, s.mistake(err)
}

type mistakenStream struct {
	mux.Stream
	mistake func(error) error
}

func (st mistakenStream) Read(p []byte) (int, error) {
	n, err := st.Stream.Read(p)
	return n, st.mistake(err)
}

func (st mistakenStream) Write(p []byte) (int, error) {
	n, err := st.Stream.Write(p)
	return n, st.mistake(err)
}

// recaused makes sessions that end with another cause, or seem not to end if there is
// none.
func recaused(reason func(cause error) error) faulty {
	return sessions(func(s mux.Session) mux.Session {
		ctx, cancel := context.WithCancelCause(context.Background())
		context.AfterFunc(s.Context(), func() {
			if err := reason(context.Cause(s.Context())); err != nil {
				cancel(err)
			}
		})
		return inContext{s, ctx}
	})
}

type inContext struct {
	mux.Session
	ctx context.Context
}

func (s inContext) Context() context.Context { return s.ctx }

// kept is what sessions leave in memory.
var kept struct {
	sync.Mutex
	memory [][]byte
}

// patient returns a stream from Accept only when it has read something from it.
type patient struct{ mux.Session }

func (s patient) Accept(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Accept(ctx)
	if err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	n, _ := st.Read(first)
	return prefixed{st, io.MultiReader(bytes.NewReader(first[:n]), st)}, nil
}

type prefixed struct {
	mux.Stream
	all io.Reader
}

func (st prefixed) Read(p []byte) (int, error) { return st.all.Read(p) }

// signalling signals when it has written.
type signalling struct {
	halfCloser
	mu      sync.Mutex
	written chan struct{} // closed by the next Write
}

func (c *signalling) Write(p []byte) (int, error) {
	n, err := c.halfCloser.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.written)
	c.written = make(chan struct{})
	return n, err
}

// next returns a channel that the next Write closes.
func (c *signalling) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written
}

// flushing waits in Open until something has been written.
type flushing struct {
	mux.Session
	c *signalling
}

func (s flushing) Open(ctx context.Context) (mux.Stream, error) {
	written := s.c.next()
	st, err := s.Session.Open(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-written:
		return st, nil
	case <-s.Context().Done():
		return nil, context.Cause(s.Context())
	case <-ctx.Done():
		st.Close()
		return nil, ctx.Err()
	}
}

type stubborn struct{ mux.Session }

func (s stubborn) Open(ctx context.Context) (mux.Stream, error) {
	return s.Session.Open(context.WithoutCancel(ctx))
}

type shortLived struct{ mux.Session }

func (s shortLived) Open(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Open(ctx)
	if err == nil {
		context.AfterFunc(ctx, func() { st.Close() })
	}
	return st, err
}

// sleeper does not notice Close while it accepts.
type sleeper struct {
	mux.Session
	closed atomic.Bool
}

func (s *sleeper) Accept(ctx context.Context) (mux.Stream, error) {
	asleep := !s.closed.Load()
	st, err := s.Session.Accept(ctx)
	if asleep && errors.Is(err, net.ErrClosed) {
		select {}
	}
	return st, err
}

func (s *sleeper) Close() error {
	s.closed.Store(true)
	return s.Session.Close()
}

type closeOnce struct {
	mux.Session
	closed atomic.Bool
}

func (s *closeOnce) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	return s.Session.Close()
}

func leak(forEver chan struct{}) { <-forEver }

// impolite does not wait for streams in use.
type impolite struct{ mux.Session }

func (s impolite) Shutdown(ctx context.Context) error {
	s.Close()
	return ctx.Err()
}

// tooPolite waits for them whatever happens.
type tooPolite struct{ mux.Session }

func (s tooPolite) Shutdown(ctx context.Context) error {
	return s.Session.Shutdown(context.WithoutCancel(ctx))
}

// unbounded does not end Accept with its context.
type unbounded struct{ mux.Session }

func (s unbounded) Accept(context.Context) (mux.Stream, error) {
	return s.Session.Accept(context.Background())
}

// silent claims to have sent a message that it has not.
type silent struct{ mux.Session }

func (silent) Send([]byte) error { return nil }

// lazy sends each message together with the next.
type lazy struct {
	mux.Session
	mu   sync.Mutex
	held []byte
}

func (s *lazy) Send(message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.held = message
	return s.Session.Send(held)
}

// immeasurable does not know the round trip.
type immeasurable struct{ mux.Session }

func (immeasurable) RoundTrip() time.Duration { return 0 }

// trusting takes every peer for alive.
type trusting struct{ mux.Session }

func (trusting) Ping(context.Context) error { return nil }

// countless does not count the streams in use.
type countless struct{ mux.Session }

func (countless) Streams() int { return 0 }
