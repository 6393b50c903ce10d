package muxtest_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/mux"
)

// Faults of what things cost, and of how long they take.

// fewStreams opens only so many streams in its life.
type fewStreams struct {
	mux.Session
	left atomic.Int64
}

func newFewStreams(s mux.Session, n int64) mux.Session {
	few := &fewStreams{Session: s}
	few.left.Store(n)
	return few
}

func (s *fewStreams) Open(ctx context.Context) (mux.Stream, error) {
	if s.left.Add(-1) < 0 {
		return nil, errors.New("no more streams")
	}
	return s.Session.Open(ctx)
}

// streamsStayInMemory keeps something of each closed stream.
type streamsStayInMemory struct{ mux.Stream }

func (st streamsStayInMemory) Close() error {
	kept.Lock()
	kept.memory = append(kept.memory, make([]byte, 64<<10))
	kept.Unlock()
	return st.Stream.Close()
}

// goroutinesOfIdleStreams has twenty goroutines for each open stream.
type goroutinesOfIdleStreams struct {
	mux.Stream
	end context.CancelFunc
}

func newGoroutinesOfIdleStreams(s mux.Session, st mux.Stream) mux.Stream {
	ctx, cancel := context.WithCancel(s.Context())
	for range 20 {
		go waitFor(ctx)
	}
	return goroutinesOfIdleStreams{st, cancel}
}

func waitFor(ctx context.Context) { <-ctx.Done() }

func (st goroutinesOfIdleStreams) Close() error {
	st.end()
	return st.Stream.Close()
}

// deadlineMoved keeps future deadlines at another time.
type deadlineMoved struct {
	mux.Stream
	by time.Duration
}

func (st deadlineMoved) moved(at time.Time) time.Time {
	if time.Until(at) > 0 {
		return at.Add(st.by)
	}
	return at
}

func (st deadlineMoved) SetDeadline(at time.Time) error {
	return st.Stream.SetDeadline(st.moved(at))
}

func (st deadlineMoved) SetReadDeadline(at time.Time) error {
	return st.Stream.SetReadDeadline(st.moved(at))
}

func (st deadlineMoved) SetWriteDeadline(at time.Time) error {
	return st.Stream.SetWriteDeadline(st.moved(at))
}

type addressesSwapped struct{ mux.Stream }

func (st addressesSwapped) LocalAddr() net.Addr  { return st.Stream.RemoteAddr() }
func (st addressesSwapped) RemoteAddr() net.Addr { return st.Stream.LocalAddr() }

// roundTripStale measures once.
type roundTripStale struct {
	mux.Session
	mu    sync.Mutex
	first time.Duration
}

func (s *roundTripStale) RoundTrip() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == 0 {
		s.first = s.Session.RoundTrip()
	}
	return s.first
}

type roundTripTenfold struct{ mux.Session }

func (s roundTripTenfold) RoundTrip() time.Duration { return 10 * s.Session.RoundTrip() }

// smallWaits delays small writes for a while after large ones of other streams.
type smallWaits struct {
	mux.Session
	bulk atomic.Int64 // when there was some
}

func newSmallWaits(s mux.Session) mux.Session {
	waits := &smallWaits{Session: s}
	return wrapping{s, func(_ mux.Session, st mux.Stream) mux.Stream { return smallWaiting{st, waits} }}
}

type smallWaiting struct {
	mux.Stream
	s *smallWaits
}

func (st smallWaiting) Write(p []byte) (int, error) {
	now := time.Now()
	if len(p) > 1<<10 {
		st.s.bulk.Store(now.UnixNano())
	} else if now.Sub(time.Unix(0, st.s.bulk.Load())) < time.Second {
		<-time.After(200 * time.Millisecond)
	}
	return st.Stream.Write(p)
}

type streamCloseSlow struct{ mux.Stream }

func (st streamCloseSlow) Close() error {
	<-time.After(time.Second)
	return st.Stream.Close()
}

type sessionCloseSlow struct{ mux.Session }

func (s sessionCloseSlow) Close() error {
	err := s.Session.Close()
	<-time.After(2 * time.Second)
	return err
}
