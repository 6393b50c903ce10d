package transport

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/backdial/backdial/internal/race"
)

// arrivals are the streams of a listener's sessions. Usually there is one session, and Accept
// waits for its streams itself. With several sessions, or while a listener moves, Accept runs
// a goroutine for each, which ends with that Accept. Guarded by lifecycle.mu.
type arrivals struct {
	most    int        // sources to remember, if nobody accepts
	sources []*session // sessions with streams to accept, which may have ended
	spare   []net.Conn // arrived together with one that Accept returned
	changed context.Context
	change  context.CancelFunc // of changed: wait for other sources
}

// addLocked adds a session. If nobody accepts, it forgets the oldest one that has ended.
// lifecycle.surplus limits those that have not.
func (a *arrivals) addLocked(s *session) {
	a.sources = append(slices.Clone(a.sources), s) // others read the old slice
	if len(a.sources) > a.most {
		if ended := slices.IndexFunc(a.sources, func(s *session) bool { return !s.alive() }); ended >= 0 {
			a.sources = slices.Delete(a.sources, ended, ended+1)
		}
	}
	a.changeLocked()
}

// takeSpareLocked returns connections that nobody will accept any more.
func (a *arrivals) takeSpareLocked() []net.Conn {
	spare := a.spare
	a.spare = nil
	return spare
}

// changeLocked makes all that wait look again.
func (a *arrivals) changeLocked() {
	if a.change != nil {
		a.change()
	}
	a.changed, a.change = context.WithCancel(context.Background())
}

// accept waits for a stream of any session. Its error is why there will be none.
func (l *lifecycle) accept() (net.Conn, error) {
	for {
		conn, sources, changed, err := l.arrived()
		switch {
		case conn != nil || err != nil:
			return conn, err
		case len(sources) == 0:
			<-changed.Done()
			continue
		}
		if conn := l.acceptFrom(changed, sources); conn != nil {
			return conn, nil
		}
	}
}

// arrived returns a stream that has arrived, or where to wait for one.
func (l *lifecycle) arrived() (conn net.Conn, sources []*session, changed context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.arrivals
	if l.closed {
		return nil, nil, nil, errListenerClosed
	}
	if len(a.spare) > 0 {
		conn = a.spare[0]
		a.spare = slices.Delete(a.spare, 0, 1)
		return conn, nil, nil, nil
	}
	if l.ctx.Err() == nil {
		return nil, a.sources, a.changed, nil
	}
	// There will be no other session. A lost one may have complete streams to accept.
	lost := slices.DeleteFunc(slices.Clone(a.sources), (*session).alive)
	if l.closing || len(lost) == 0 {
		return nil, nil, nil, context.Cause(l.ctx)
	}
	return nil, lost, a.changed, nil
}

// acceptFrom waits for a stream of one of sources. It returns nil when changed ends, or when
// one of sources has no more streams.
func (l *lifecycle) acceptFrom(changed context.Context, sources []*session) net.Conn {
	if len(sources) == 1 {
		if l.config.backoff == nil { // there will be no other session; waiting for changed costs time
			changed = context.Background()
		}
		conn, _ := l.acceptOne(changed, sources[0])
		return conn
	}
	accepts := make([]race.Attempt[net.Conn], len(sources))
	for i, s := range sources {
		accepts[i] = func(ctx context.Context, _ time.Time) (net.Conn, error) { return l.acceptOne(ctx, s) }
	}
	_, conn, _ := race.First(changed, 0, accepts, l.keep)
	return conn
}

func (l *lifecycle) acceptOne(ctx context.Context, s *session) (net.Conn, error) {
	st, err := s.mux.Accept(ctx)
	if err == nil {
		return s.conn(st), nil
	}
	if ctx.Err() == nil {
		l.acceptedAll(s)
	}
	return nil, err
}

// acceptedAll notes that s has no more streams.
func (l *lifecycle) acceptedAll(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.arrivals
	if i := slices.Index(a.sources, s); i >= 0 {
		a.sources = slices.Concat(a.sources[:i], a.sources[i+1:]) // others read the old slice
		a.changeLocked()
	}
}

// keep stores a connection that arrived too late to be returned.
func (l *lifecycle) keep(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		conn.Close()
		return
	}
	l.arrivals.spare = append(l.arrivals.spare, conn)
	l.arrivals.changeLocked()
}
