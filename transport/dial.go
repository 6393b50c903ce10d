package transport

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
)

// dial opens a stream in the latest session that takes any, or in the next session.
func (l *lifecycle) dial(ctx context.Context) (net.Conn, error) {
	var over []*session
	var why error
	for {
		s, changed, err := l.current(over)
		switch {
		case err != nil:
			return nil, err
		case s == nil:
			select {
			case <-changed.Done():
				over = nil
				continue
			case <-ctx.Done():
				return nil, waitedForSession(ctx, why)
			}
		case s.info.Protocol == "":
			return nil, ErrNotNegotiated
		}
		st, err := s.mux.Open(ctx)
		if err == nil {
			return s.conn(st), nil
		}
		if l.config.backoff == nil || !sessionIsOver(err) {
			return nil, err
		}
		over, why = append(over, s), err
	}
}

// waitedForSession returns the error of a Dial that waited until ctx ended. why is the error
// of the last session, or nil if there was none.
func waitedForSession(ctx context.Context, why error) error {
	if why == nil {
		return fmt.Errorf("%w, while waiting for a session", ctxerr.Of(ctx))
	}
	return fmt.Errorf("%w, while waiting for a session after: %w", ctxerr.Of(ctx), why)
}

// sessionIsOver reports whether err, of opening a stream, says that the session takes no more
// streams. The session's own context may end a moment later.
func sessionIsOver(err error) bool {
	return errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, mux.ErrGoAway) || errors.Is(err, net.ErrClosed)
}

// current returns the latest session that is held and not in over, or nil, and a context that
// ends when there may be another.
func (l *lifecycle) current(over []*session) (s *session, changed context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latestLocked(over), l.arrivals.changed, context.Cause(l.ctx)
}
