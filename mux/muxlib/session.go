package muxlib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/life"
)

// session implements [mux.Session]. It has one goroutine that accepts, one for each Open
// and ping under way, and those of its streams. The library has its own besides.
type session struct {
	life.Session[*stream]
	library *Library
	end     *End
	inner   Session

	// Guarded by Mu.

	streams  map[*stream]struct{} // not closed by the user
	opens    opens
	accepted int         // streams that inner.Accept has returned
	ending   int         // streams that are ending, and inner.Leave
	changed  sync.Cond   // wakes await
	pinging  bool        // inner.Ping is under way
	watch    *time.Timer // ends a session that cannot write; nil if it can
	wanted   bool        // an Accept waits for a stream
	losing   bool        // the connection is lost, and Accept still takes what has arrived
}

var _ mux.Session = (*session)(nil)

func newSession(library *Library, conn net.Conn, dialSide bool, config mux.Config) (mux.Session, error) {
	s := &session{library: library, streams: make(map[*stream]struct{})}
	s.opens.over = make(chan struct{})
	s.Init(library.Name, protocol{s}, config)
	s.changed.L = &s.Mu
	s.end = &End{Conn: conn, DialSide: dialSide, Config: s.Config, session: s, began: time.Now(), read: make(chan struct{})}
	inner, err := library.Start(s.end)
	if err != nil {
		err = fmt.Errorf("%s: start: %w", library.Name, err)
		s.End(err)
		return nil, err
	}
	s.Mu.Lock()
	s.inner = inner
	over := s.ErrLocked()
	s.Mu.Unlock()
	if over != nil {
		inner.Close()
		return nil, over
	}
	s.WG.Go(s.acceptLoop)
	s.KeepAlive(s.Config)
	return s, nil
}

// Open implements [mux.Session].
func (s *session) Open(ctx context.Context) (mux.Stream, error) {
	return life.Stream(s.Session.Open(ctx))
}

// Accept implements [mux.Session].
func (s *session) Accept(ctx context.Context) (mux.Stream, error) {
	return life.Stream(s.Session.Accept(ctx))
}

// Send implements [mux.Session].
func (s *session) Send(message []byte) error {
	m, ok := s.inner.(Messenger)
	switch {
	case !ok:
		return fmt.Errorf("%s: send: the library carries no messages", s.library.Name)
	case len(message) > mux.MaxMessage:
		return fmt.Errorf("%s: send: a message of %d bytes is longer than %d", s.library.Name, len(message), mux.MaxMessage)
	}
	s.Mu.Lock()
	err := s.UseErrLocked()
	s.Mu.Unlock()
	if err != nil {
		return err
	}
	if err := m.Send(message); err != nil {
		return fmt.Errorf("%s: send: %w", s.library.Name, s.meaning(err))
	}
	return nil
}

// Ping implements [mux.Session].
func (s *session) Ping(ctx context.Context) error {
	if _, ok := s.inner.(Pinger); !ok {
		return fmt.Errorf("%s: ping: the library has none: %w", s.library.Name, errors.ErrUnsupported)
	}
	return s.Session.Ping(ctx)
}

// await waits until done, which is called with Mu held, returns true, or ctx ends.
func (s *session) await(ctx context.Context, done func() bool) {
	defer s.WakeAfter(ctx, &s.changed)()
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for !done() && ctx.Err() == nil {
		s.changed.Wait()
	}
}

// took notes how long the connection took for a write.
func (s *session) took(d time.Duration) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.TookLocked(d)
}

// writeFailed ends the session with err, unless what has arrived ends it first.
func (s *session) writeFailed(err error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.UseErrLocked() == nil {
		s.watch = time.AfterFunc(farewell, func() { s.End(s.Lost(err)) })
	}
}

// meaning adds to err the error of package mux that it stands for.
func (s *session) meaning(err error) error {
	for library, means := range s.library.Errors {
		if errors.Is(err, library) {
			return fmt.Errorf("%w: %w", means, err)
		}
	}
	return err
}

// run calls f in the background. It does nothing if the session has ended.
func (s *session) run(f func()) {
	s.Mu.Lock()
	over := s.StateLocked() == life.Ended
	if !over {
		s.goLocked(f)
	}
	s.Mu.Unlock()
	if over {
		f()
	}
}

// goLocked calls f in the background, and Farewell waits for it.
func (s *session) goLocked(f func()) {
	s.ending++
	s.WG.Go(func() {
		f()
		s.Mu.Lock()
		defer s.Mu.Unlock()
		s.ending--
		s.changed.Broadcast()
	})
}

// wakeOpen makes Open look for room again.
func (s *session) wakeOpen() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.WakeOpenLocked()
}
