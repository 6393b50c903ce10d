package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
)

// A session is what a [Listener] and a [Dialer] have in common.
type session struct {
	mux     mux.Session
	info    Info // without what changes; see describe
	trace   *Trace
	logger  *slog.Logger // for log, which adds the session's attributes
	control control
	learn   func()                // called at its end, to learn from it; or nil
	ours    atomic.Pointer[error] // why this end closes it, if there is more to say
	theirs  atomic.Pointer[error] // why the peer does, if that is known

	client *clientName // on a server

	// Of a client's.
	server  atomic.Pointer[string] // the server's ID, once it has given one
	mute    bool                   // the client has offered nothing; see stripped
	silence time.Duration          // how long the keepalive takes to notice silence, if that is not the default
}

// startSession starts m on conn, as the end that side is.
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
			Session:    newSessionID(),
			Server:     c.serverID,
		},
		trace:  &c.trace,
		logger: c.logger,
	}
	s.silence = max(limits.KeepAlive, 0) + max(limits.KeepAliveTimeout, 0)
	limits.OnMessage = nil // not the user's
	if s.info.Protocol != "" {
		limits.OnMessage = s.control.receive
	}
	var err error
	if s.mux, err = side(conn, limits); err != nil {
		return nil, fmt.Errorf("start %s: %w", m.Name(), err)
	}
	return s, nil
}

// newSessionID makes an ID that no other session has, here and elsewhere: of 65,536 sessions,
// two have the same ID once in 100,000 times.
func newSessionID() string { return fmt.Sprintf("%012x", rand.Uint64N(1<<48)) }

// describe returns the session's Info as it is now.
func (s *session) describe() Info {
	info := s.identify()
	info.RoundTrip, info.Streams = s.mux.RoundTrip(), s.mux.Streams()
	return info
}

// identify is describe without what takes time to find out.
func (s *session) identify() Info {
	info := s.info
	info.Client = s.client.get()
	if id := s.server.Load(); id != nil {
		info.Server = *id
	}
	return info
}

// log returns the logger for lines about the session.
func (s *session) log() *slog.Logger { return s.label(s.logger) }

// label returns l for lines about the session.
func (s *session) label(l *slog.Logger) *slog.Logger {
	l = l.With("carrier", s.info.Carrier, "mux", s.info.Mux, "remote", s.info.RemoteAddr, "session", s.info.Session)
	return s.client.label(l)
}

// alive reports whether s, which may be nil, has not ended.
func (s *session) alive() bool { return s != nil && s.mux.Context().Err() == nil }

// delivered waits until the peer has what was written on connections in use.
func (s *session) delivered(ctx context.Context) error {
	if err := s.mux.Ping(ctx); err != nil {
		return err
	}
	return s.mux.Ping(ctx) // the first answer may have been to an earlier question
}

func (s *session) age() time.Duration { return time.Since(s.info.Since) }

// begin announces the session. It calls heard with what the peer has said before and says from
// then on. It calls gone after it has announced the session's end and heard everything that
// the peer said; until then the session needs no goroutine of this package.
func (s *session) begin(heard func(controlMessage), gone func()) {
	announced := make(chan struct{})
	defer close(announced) // also if a trace function panics
	context.AfterFunc(s.mux.Context(), func() {
		<-announced
		defer gone()
		if s.learn != nil {
			defer s.learn()
		}
		if s.logs(slog.LevelInfo) {
			withErr(s.log(), s.err()).Info("backdial: client gone", "after", s.age())
		}
		if s.trace.ClientGone != nil {
			s.trace.ClientGone(s.describe(), s.err())
		}
	})
	if s.logs(slog.LevelInfo) {
		connected := s.log()
		if s.info.Fallback != nil {
			connected = connected.With("fallback", s.info.Fallback)
		}
		connected.Info("backdial: client connected", "protocol", s.info.Protocol)
	}
	if s.trace.ClientConnected != nil {
		s.trace.ClientConnected(s.describe())
	}
	s.control.listen(heard)
}

// err returns why the session has ended, or nil.
func (s *session) err() error { return s.explain(redact.Error(context.Cause(s.mux.Context()))) }

// explain adds to an error of the multiplexer what that cannot know.
func (s *session) explain(err error) error {
	switch {
	case isClosedHere(err):
		return s.closedHere(err)
	case s.mute && errors.Is(err, mux.ErrProtocol):
		err = fmt.Errorf("%w: %w", errNoYamux, err)
	case s.info.Protocol == "" && errors.Is(err, mux.ErrProtocol):
		err = fmt.Errorf("%w (nothing was negotiated: a proxy may have removed the Sec-WebSocket-Protocol header)", err)
	}
	if errors.Is(err, mux.ErrSessionEnded) {
		return endedOtherwise(s.told(err), err)
	}
	return err
}

// closedHere returns the error of a session that this end closes. cause is the multiplexer's
// error.
func (s *session) closedHere(cause error) error {
	why := load(&s.ours)
	if errors.Is(why, mux.ErrSilent) { // this end closes it because it was lost
		return endedOtherwise(nil, why)
	}
	return closedHere(why, cause)
}

// told returns why the peer has ended the session with err, or nil if it was not the peer.
func (s *session) told(err error) error {
	why := load(&s.theirs)
	if _, closed := why.(*ClosedError); closed || errors.Is(err, mux.ErrClosedByPeer) {
		return why
	}
	return nil
}

// closeBecause notes why this end is about to close the session.
func (s *session) closeBecause(why error) {
	if s.alive() { // otherwise it has ended for another reason
		s.ours.Store(&why)
	}
}

// heardReason notes why the peer is about to close the session.
func (s *session) heardReason(why error) { s.theirs.Store(&why) }

func load(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

// conn returns st as its user gets it.
func (s *session) conn(st mux.Stream) Conn {
	debug := s.logs(slog.LevelDebug)
	if s.trace.StreamOpened == nil && s.trace.StreamMoved == nil && s.trace.StreamClosed == nil && !debug {
		return st
	}
	if debug {
		s.log().Debug("backdial: stream opened")
	}
	if s.trace.StreamOpened != nil {
		s.trace.StreamOpened(s.describe())
	}
	return newTracedConn(st, s)
}

// logs reports whether lines of a level are wanted. Where sessions or streams begin and end it
// is asked first, because to make a line costs more than that.
func (s *session) logs(level slog.Level) bool { return s.logger.Enabled(context.Background(), level) }

// tracedDial calls dial, and reports it to the trace.
func (s *session) tracedDial(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if s.trace.StreamDialed == nil {
		return dial(ctx)
	}
	began := time.Now()
	conn, err := dial(ctx)
	s.trace.StreamDialed(ctx, s.describe(), time.Since(began), err)
	return conn, err
}
