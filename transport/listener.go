package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// A Listener is a client's end of its session: a [net.Listener] of the
// connections that the server dials. What it accepts is a [Conn].
//
// It ends with its session, unless the client has [WithReconnect]. With [WithSessions] it
// has several at a time. Close it when it is no longer used.
type Listener struct{ life *lifecycle }

var _ net.Listener = (*Listener)(nil)

// Accept waits for a connection that the server dials. What it returns is a [Conn].
// Its error matches [net.ErrClosed] after Close, or when Shutdown is done: not
// before, because who serves a listener tends to close it when Accept fails. The
// error matches [mux.ErrSessionEnded] when the session is lost or the server closed
// it. With [WithReconnect], Accept goes on with the next session instead, and its
// error is why there will not be one.
//
// [mux.ErrSessionEnded]: https://pkg.go.dev/github.com/backdial/backdial/mux#ErrSessionEnded
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.life.accept()
	if err != nil {
		return nil, fmt.Errorf("transport: accept: %w", err)
	}
	return conn, nil
}

// Close stops accepting at once: Accept fails, and what the server dials from now on is
// refused. As with any [net.Listener], connections that were accepted go on. So
// [http.Server.Shutdown] and GracefulStop of a gRPC server, which begin with Close, let
// what is running finish. A session ends when its connections have been closed, and after
// 5 s at the latest ([WithCloseGrace]), upon which Done is closed.
//
// Close waits until the servers have what was written before, for three seconds at most
// (mux.Config.Linger), and until the sessions have ended that have no connection in use. It
// does not wait for those in use. A program that is to finish what is running before it
// ends has to call Shutdown, of the listener or of what serves it. Shutdown with a context
// that has ended cuts what is left.
//
// [http.Server.Shutdown]: https://pkg.go.dev/net/http#Server.Shutdown
func (l *Listener) Close() error {
	l.life.close()
	return nil
}

// Shutdown stops accepting, waits until the connections that were accepted
// have been closed, then closes all sessions. Connections that the server dials
// meanwhile are refused. When ctx ends first, Shutdown cuts what is left and
// returns ctx's error.
//
// It does not know which connections are idle. Where an [http.Server] or a gRPC server
// serves the listener, call the Shutdown or GracefulStop of that instead, which closes the
// listener.
//
// [http.Server]: https://pkg.go.dev/net/http#Server
func (l *Listener) Shutdown(ctx context.Context) error { return l.life.shutdown(ctx) }

// Addr returns the local address of the latest connection to a server, or of the last
// one there was.
func (l *Listener) Addr() net.Addr { return l.Info().LocalAddr }

// Sessions describes all sessions that there are, the latest last: several with
// [WithSessions], and those that were left and still have connections in use.
func (l *Listener) Sessions() []Info {
	sessions := l.life.sessions()
	infos := make([]Info, len(sessions))
	for i, s := range sessions {
		infos[i] = s.describe()
	}
	return infos
}

// Info describes the latest session, or the last one there was.
func (l *Listener) Info() Info { return l.life.latest().describe() }

// Done is closed when the listener has ended.
func (l *Listener) Done() <-chan struct{} { return l.life.ctx.Done() }

// Err returns why the listener has ended, or nil while it has not. It matches
// the same errors as that of Accept.
func (l *Listener) Err() error {
	if err := context.Cause(l.life.ctx); err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	return nil
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
