package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/backdial/backdial/mux"
)

// ErrClientGone is matched by the errors of a [Dialer] whose client has left
// or was lost.
var ErrClientGone = errors.New("client gone")

// A Dialer is a server's end of a session: it dials one client. It may be used
// by any number of goroutines, for as long as the client stays connected. A
// client that comes back is another Dialer.
type Dialer struct {
	// Header of the client's request. The client chose it: check it before
	// you believe it.
	Header http.Header

	// URL of the client's request: its path and query.
	URL *url.URL

	// TLS is how the client's connection is secured, its certificate
	// included, or nil if it is not, or by someone in front of the server.
	TLS *tls.ConnectionState

	session *session
	request context.Context // of the client's request, for its values
}

// Dial opens a connection to the client. It costs no round trip. What it
// returns is a [net.Conn] that also has CloseWrite() error.
//
// While a client has hundreds of connections to accept, Dial waits for it to
// accept one; [Dialer.DialContext] can give up. The error matches
// [ErrClientGone] if the client is, mux.ErrGoAway if it is about to leave and
// takes nothing new, and [net.ErrClosed] after Close of the Dialer or the
// server.
func (d *Dialer) Dial() (net.Conn, error) {
	return d.DialContext(context.Background(), "", "")
}

// DialContext is Dial with a context, which bounds the call and not the
// connection. Its signature fits [http.Transport] and the like; network and
// addr are not used.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	st, err := d.session.mux.Open(ctx)
	if err != nil {
		return nil, explainGone(d.session.explain(err))
	}
	return d.session.conn(st), nil
}

// Close ends the session and its connections. Blocked calls return with an
// error. Close waits a few seconds at most until the client has what was
// written before.
func (d *Dialer) Close() error { return d.session.mux.Close() }

// Done is closed when the session has ended.
func (d *Dialer) Done() <-chan struct{} { return d.session.mux.Context().Done() }

// Err returns why the session has ended, or nil while it has not. It matches
// the same errors as that of Dial.
func (d *Dialer) Err() error {
	if err := d.session.err(); err != nil {
		return explainGone(err)
	}
	return nil
}

// Info describes the session.
func (d *Dialer) Info() Info { return d.session.describe() }

// Context returns a context that has the values of the client's request, as
// they were set by the handlers around the [Server], and that ends with the
// session.
func (d *Dialer) Context() context.Context {
	return dialerContext{d.session.mux.Context(), d.request}
}

type dialerContext struct {
	context.Context
	values context.Context
}

func (c dialerContext) Value(key any) any {
	// The session's context answers for itself when another is derived from it.
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// explainGone makes an error of a session one of its Dialer.
func explainGone(err error) error {
	if errors.Is(err, mux.ErrSessionEnded) {
		return fmt.Errorf("transport: %w: %w", ErrClientGone, err)
	}
	return fmt.Errorf("transport: %w", err)
}
