package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// A Listener is a client's end of its session: a [net.Listener] for the connections that the
// server dials. It accepts them as a [Conn].
//
// A Listener ends with its session, unless the client has [WithReconnect]. With [WithSessions]
// it has several sessions at a time. Close it when it is no longer used.
type Listener struct{ life *lifecycle }

var _ net.Listener = (*Listener)(nil)

// Accept waits for a connection that the server dials, and returns it as a [Conn]. Its error
// matches [net.ErrClosed] after Close, or when Shutdown is done. During Shutdown it keeps
// waiting, because programs that serve a listener tend to close it when Accept fails. The
// error matches [mux.ErrSessionEnded] if the session was lost or the server closed it. With
// [WithReconnect], Accept continues with the next session instead, and its error says why
// there will be none.
//
// [mux.ErrSessionEnded]: https://pkg.go.dev/github.com/backdial/backdial/mux#ErrSessionEnded
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.life.accept()
	if err != nil {
		return nil, fmt.Errorf("transport: accept: %w", err)
	}
	return conn, nil
}

// Close stops accepting at once: Accept fails, and connections that the server dials from now
// on are refused. As with any [net.Listener], accepted connections go on. So
// [http.Server.Shutdown] and GracefulStop of a gRPC server, which call Close first, let
// running requests finish. A session ends when its connections have been closed, or after 5 s
// ([WithCloseGrace]); then Done is closed.
//
// Close waits until the servers have what was written before, for three seconds at most
// (mux.Config.Linger), and for the end of sessions without connections in use. It does not
// wait for connections in use. A program that wants to finish running requests before it exits
// has to call Shutdown, of the listener or of its HTTP or gRPC server. Shutdown with a context
// that has ended cuts what is left.
//
// [http.Server.Shutdown]: https://pkg.go.dev/net/http#Server.Shutdown
func (l *Listener) Close() error {
	l.life.close()
	return nil
}

// Shutdown stops accepting, waits until the accepted connections have been closed, then closes
// all sessions. Connections that the server dials meanwhile are refused. If ctx ends first,
// Shutdown cuts what is left and returns ctx's error.
//
// It does not know which connections are idle. If an [http.Server] or a gRPC server serves the
// listener, call Shutdown or GracefulStop of that instead, which closes the listener.
//
// [http.Server]: https://pkg.go.dev/net/http#Server
func (l *Listener) Shutdown(ctx context.Context) error { return l.life.shutdown(ctx) }

// Addr returns the local address of the latest connection to a server, which may have ended.
func (l *Listener) Addr() net.Addr { return l.Info().LocalAddr }

// Sessions describes all sessions, the latest last: several with [WithSessions], and those
// that the client has left but that still have connections in use.
func (l *Listener) Sessions() []Info {
	sessions := l.life.sessions()
	infos := make([]Info, len(sessions))
	for i, s := range sessions {
		infos[i] = s.describe()
	}
	return infos
}

// Info describes the latest session, which may have ended.
func (l *Listener) Info() Info { return l.life.latest().describe() }

// Done is closed when the listener has ended.
func (l *Listener) Done() <-chan struct{} { return l.life.ctx.Done() }

// Err returns why the listener has ended, or nil before that. It matches the same errors as
// that of Accept.
func (l *Listener) Err() error {
	if err := context.Cause(l.life.ctx); err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	return nil
}

// ErrNotNegotiated means that a session negotiated nothing, as with wslis: such a server
// accepts no connections. The error of a client's Dial matches it.
var ErrNotNegotiated = errors.New("the server does not negotiate, so it accepts no connections from its clients")

// Dial is [Listener.DialContext] without a limit. It returns a [Conn].
func (l *Listener) Dial() (net.Conn, error) {
	return l.DialContext(context.Background(), "", "")
}

// DialContext opens a connection to the server, which is the unusual direction. The server
// needs [WithAcceptFromClient]; without it, using the connection fails with an error that
// matches mux.ErrReset. DialContext costs no round trip, ignores network and addr, and returns
// a [Conn]. With a server that does not negotiate, the error matches [ErrNotNegotiated].
//
// It uses the latest session that takes new connections ([WithSessions]). With [WithReconnect]
// it waits for a session if there is none. ctx limits the call and not the connection.
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
