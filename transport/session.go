package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

// A session is what a [Listener] and a [Dialer] have in common.
type session struct {
	mux     mux.Session
	info    Info // but for what changes; see describe
	trace   *Trace
	logger  *slog.Logger
	control control
	settle  func() // what there is to do when it is gone, or nil

	// Of a client's.
	server   atomic.Pointer[string]      // who the server says that it is
	why      atomic.Pointer[ClosedError] // what the server gave as the reason for closing it
	unwanted atomic.Bool                 // there is another to the same server
}

// startSession starts m, of which side is one end, on conn.
func startSession(c *config, from carrier.Carrier, conn carrier.Conn, m mux.Muxer,
	side func(net.Conn, mux.Config) (mux.Session, error), limits mux.Config,
) (*session, error) {
	s := &session{
		info: Info{
			Carrier:    from.Name(),
			Mux:        m.Name(),
			Protocol:   conn.Protocol(),
			LocalAddr:  conn.LocalAddr(),
			RemoteAddr: conn.RemoteAddr(),
			Since:      time.Now(),
			Server:     c.serverID,
		},
		trace:  &c.trace,
		logger: c.logger.With("carrier", from.Name(), "mux", m.Name(), "remote", conn.RemoteAddr()),
	}
	limits.OnMessage = nil // whatever the user has set
	if s.info.Protocol != "" {
		limits.OnMessage = s.control.receive
	}
	var err error
	if s.mux, err = side(conn, limits); err != nil {
		return nil, fmt.Errorf("start %s: %w", m.Name(), err)
	}
	return s, nil
}

// describe returns the session's Info as it is now.
func (s *session) describe() Info {
	info := s.info
	info.RoundTrip, info.Streams = s.mux.RoundTrip(), s.mux.Streams()
	if id := s.server.Load(); id != nil {
		info.Server = *id
	}
	return info
}

// alive reports whether s, which may be nil, has not ended.
func (s *session) alive() bool { return s != nil && s.mux.Context().Err() == nil }

func (s *session) age() time.Duration { return time.Since(s.info.Since) }

// begin announces the session. gone is called after its end has been announced
// too; until then the session occupies no goroutine of this package.
func (s *session) begin(gone func()) {
	announced := make(chan struct{})
	defer close(announced) // also if a trace function panics
	context.AfterFunc(s.mux.Context(), func() {
		<-announced
		defer gone()
		if s.settle != nil {
			defer s.settle()
		}
		s.logger.Info("backdial: client gone", "after", s.age(), "reason", s.err())
		if s.trace.ClientGone != nil {
			s.trace.ClientGone(s.describe(), s.err())
		}
	})
	connected := s.logger
	if s.info.Fallback != nil {
		connected = connected.With("fallback", s.info.Fallback)
	}
	connected.Info("backdial: client connected", "protocol", s.info.Protocol)
	if s.trace.ClientConnected != nil {
		s.trace.ClientConnected(s.describe())
	}
}

// err is why the session has ended, or nil.
func (s *session) err() error { return s.explain(context.Cause(s.mux.Context())) }

// explain adds what the multiplexer cannot know to its error.
func (s *session) explain(err error) error {
	if s.unwanted.Load() && err != nil {
		return fmt.Errorf("%w: %w", ErrAlreadyConnected, err)
	}
	if why := s.why.Load(); why != nil && errors.Is(err, mux.ErrSessionEnded) {
		return fmt.Errorf("%w: %w", why, err)
	}
	if s.info.Protocol == "" && errors.Is(err, mux.ErrProtocol) {
		return fmt.Errorf("%w (nothing was negotiated: a proxy may have removed the Sec-WebSocket-Protocol header)", err)
	}
	return err
}

// conn returns st as its user gets it.
func (s *session) conn(st mux.Stream) Conn {
	debug := s.logger.Enabled(context.Background(), slog.LevelDebug)
	if s.trace.StreamOpened == nil && s.trace.StreamMoved == nil && s.trace.StreamClosed == nil && !debug {
		return st
	}
	s.logger.Debug("backdial: stream opened")
	if s.trace.StreamOpened != nil {
		s.trace.StreamOpened(s.describe())
	}
	traced := &tracedConn{Stream: st, session: s, since: time.Now()}
	if coded, ok := st.(mux.CodeResetter); ok {
		return &codedConn{traced, coded}
	}
	return traced
}

// tracedDial is dial, and tells the trace of it.
func (s *session) tracedDial(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if s.trace.StreamDialed == nil {
		return dial(ctx)
	}
	began := time.Now()
	conn, err := dial(ctx)
	s.trace.StreamDialed(ctx, s.describe(), time.Since(began), err)
	return conn, err
}
