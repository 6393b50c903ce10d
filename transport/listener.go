package transport

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
)

// A Listener is a client's end of a session: a [net.Listener] of the
// connections that the server dials. What it accepts is a [net.Conn] that also
// has CloseWrite() error.
//
// It ends with its session. Close it when it is no longer used.
type Listener struct {
	session  *session
	draining atomic.Bool // Shutdown was called
}

var _ net.Listener = (*Listener)(nil)

// Accept waits for a connection that the server dials. Its error matches
// [net.ErrClosed] after Close, or when Shutdown is done: not before, because
// who serves a listener tends to close it when Accept fails. The error matches [mux.ErrSessionEnded] when the
// session is lost or the server closed it.
//
// [mux.ErrSessionEnded]: https://pkg.go.dev/github.com/backdial/backdial/mux#ErrSessionEnded
func (l *Listener) Accept() (net.Conn, error) {
	st, err := l.session.mux.Accept()
	if err != nil {
		if l.draining.Load() {
			<-l.Done()
		}
		return nil, fmt.Errorf("transport: accept: %w", l.session.explain(err))
	}
	return l.session.conn(st), nil
}

// Close ends the session and the connections that were accepted. Blocked calls
// return with an error. Close waits a few seconds at most until the server has
// what was written before.
func (l *Listener) Close() error { return l.session.mux.Close() }

// Shutdown stops accepting, waits until the connections that were accepted
// have been closed, then closes the session. Connections that the server dials
// meanwhile are refused. When ctx ends first, Shutdown cuts what is left and
// returns ctx's error.
//
// With an [http.Server] that serves the listener, disable keep-alives first, so
// that its connections end with their requests; then call this Shutdown, and
// not the server's, which would close the listener at once.
//
// [http.Server]: https://pkg.go.dev/net/http#Server
func (l *Listener) Shutdown(ctx context.Context) error {
	l.draining.Store(true)
	return l.session.mux.Shutdown(ctx)
}

// Addr returns the local address of the connection to the server.
func (l *Listener) Addr() net.Addr { return l.session.info.LocalAddr }

// Done is closed when the session has ended.
func (l *Listener) Done() <-chan struct{} { return l.session.mux.Context().Done() }

// Err returns why the session has ended, or nil while it has not. It matches
// the same errors as that of Accept.
func (l *Listener) Err() error {
	if err := l.session.err(); err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	return nil
}

// Info describes the session.
func (l *Listener) Info() Info { return l.session.info }
