package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

// A session is what a [Listener] and a [Dialer] have in common.
type session struct {
	mux    mux.Session
	info   Info
	trace  *Trace
	logger *slog.Logger
	settle func() // what there is to do when it is gone, or nil
}

func newSession(c *config, from carrier.Carrier, conn carrier.Conn, m mux.Muxer, muxed mux.Session) *session {
	return &session{
		mux: muxed,
		info: Info{
			Carrier:    from.Name(),
			Mux:        m.Name(),
			Protocol:   conn.Protocol(),
			LocalAddr:  conn.LocalAddr(),
			RemoteAddr: conn.RemoteAddr(),
			Since:      time.Now(),
		},
		trace:  &c.trace,
		logger: c.logger.With("carrier", from.Name(), "mux", m.Name(), "remote", conn.RemoteAddr()),
	}
}

// describe returns the session's Info as it is now.
func (s *session) describe() Info {
	info := s.info
	info.RoundTrip = s.mux.RoundTrip()
	return info
}

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
		s.logger.Info("backdial: client gone", "after", time.Since(s.info.Since), "reason", s.err())
		if s.trace.ClientGone != nil {
			s.trace.ClientGone(s.info, s.err())
		}
	})
	connected := s.logger
	if s.info.Fallback != nil {
		connected = connected.With("fallback", s.info.Fallback)
	}
	connected.Info("backdial: client connected", "protocol", s.info.Protocol)
	if s.trace.ClientConnected != nil {
		s.trace.ClientConnected(s.info)
	}
}

// err is why the session has ended, or nil.
func (s *session) err() error { return s.explain(context.Cause(s.mux.Context())) }

// explain adds what the multiplexer cannot know to its error.
func (s *session) explain(err error) error {
	if s.info.Protocol == "" && errors.Is(err, mux.ErrProtocol) {
		return fmt.Errorf("%w (nothing was negotiated: a proxy may have removed the Sec-WebSocket-Protocol header)", err)
	}
	return err
}

// conn returns st as its user gets it.
func (s *session) conn(st mux.Stream) net.Conn {
	debug := s.logger.Enabled(context.Background(), slog.LevelDebug)
	if s.trace.StreamOpened == nil && s.trace.StreamClosed == nil && !debug {
		return st
	}
	s.logger.Debug("backdial: stream opened")
	if s.trace.StreamOpened != nil {
		s.trace.StreamOpened(s.info)
	}
	return &tracedConn{Stream: st, session: s, since: time.Now()}
}
