package transport

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
)

// acceptFrom has the connections that the client of d opens handled, if anybody
// wants them.
func (s *Server) acceptFrom(d *Dialer) {
	if s.config.acceptFromClient == nil || !s.handling() {
		return
	}
	go func() { // ends with the session
		defer s.handlers.Done()
		for {
			st, err := d.session.mux.Accept(context.Background())
			if err != nil {
				return
			}
			conn := d.session.conn(st)
			s.handlers.Add(1)
			go s.handle(d, func() { s.config.acceptFromClient(d, conn) })
		}
	}()
}

// handling makes Shutdown wait for handlers.Done, unless it may not wait any more.
func (s *Server) handling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.handlers.Add(1)
	}
	return !s.closing
}

// ErrNotNegotiated is matched by the error of a client's Dial in a session in which
// nothing was negotiated, as with wslis: such a server accepts no connections.
var ErrNotNegotiated = errors.New("the server does not negotiate, so it accepts no connections of its clients")

// Dial is [Listener.DialContext] without a bound. What it returns is a [Conn].
func (l *Listener) Dial() (net.Conn, error) {
	return l.DialContext(context.Background(), "", "")
}

// DialContext opens a connection to the server, in the direction that is not the
// usual one: the server has to have [WithAcceptFromClient], or the use of the
// connection fails with an error that matches mux.ErrReset. It costs no round
// trip. What it returns is a [Conn]. Network and addr are not used. With a server that
// does not negotiate the error matches [ErrNotNegotiated].
//
// It is opened in the latest session that takes any ([WithSessions]). With
// [WithReconnect] it waits for a session while there is none. ctx bounds that, and not
// the connection.
func (l *Listener) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return l.life.latest().tracedDial(ctx, l.dial)
}

func (l *Listener) dial(ctx context.Context) (net.Conn, error) {
	conn, err := l.life.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("transport: dial: %w", err)
	}
	return conn, nil
}

// dial opens a stream in the latest session that opens any, or in the next one if
// there is none.
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

// waitedForSession is the error of a Dial that has waited until ctx ended. why is what
// the last session said, if there was one.
func waitedForSession(ctx context.Context, why error) error {
	if why == nil {
		return fmt.Errorf("%w, while waiting for a session", ctxerr.Of(ctx))
	}
	return fmt.Errorf("%w, while waiting for a session after: %w", ctxerr.Of(ctx), why)
}

// sessionIsOver reports whether err, of opening a stream, says that the session opens
// none any more. The session's own context may be a moment behind.
func sessionIsOver(err error) bool {
	return errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, mux.ErrGoAway) || errors.Is(err, net.ErrClosed)
}

// current returns the latest session that is held, but for those that are over, or
// nil; and what ends when there may be another.
func (l *lifecycle) current(over []*session) (s *session, changed context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latestLocked(over), l.arrivals.changed, context.Cause(l.ctx)
}
