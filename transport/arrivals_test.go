package transport

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/mux"
)

// A generous session has one stream to accept. It returns that stream once all other
// sessions are asked for theirs, whatever the context says.
type generous struct {
	mux.Session
	all  *sync.WaitGroup
	once sync.Once
}

func (s *generous) Accept(ctx context.Context) (st mux.Stream, err error) {
	s.once.Do(func() {
		s.all.Done()
		s.all.Wait()
		st = struct{ mux.Stream }{}
	})
	if st == nil {
		<-ctx.Done()
		err = ctx.Err()
	}
	return st, err
}

func (s *generous) Context() context.Context { return context.Background() }

// In TestArrivalsTogether streams arrive in several sessions at the same time. None is lost,
// and each waiting Accept gets one.
func TestArrivalsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 5
		l := newLifecycle(&Client{})
		var all sync.WaitGroup
		all.Add(sessions)
		for range sessions {
			s := &session{mux: &generous{all: &all}, trace: &Trace{}, logger: slog.New(slog.DiscardHandler)}
			l.mu.Lock()
			l.arrivals.addLocked(s)
			l.mu.Unlock()
		}
		conns := make(chan net.Conn)
		for range sessions {
			go func() {
				conn, err := l.accept()
				if err != nil {
					t.Error(err)
				}
				conns <- conn
			}()
		}
		for range sessions {
			if <-conns == nil {
				t.Error("no connection")
			}
		}
		l.set(nil, StateEnded, nil, StateChange{Err: net.ErrClosed})
	})
}
