package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
)

// ErrClientGone means that the client of a [Dialer] has left or was lost. The errors of the
// Dialer match it.
var ErrClientGone = errors.New("client gone")

// A Dialer is a server's end of a session: it dials one client. It is safe for concurrent use
// while the client is connected. A client that connects again gets another Dialer.
type Dialer struct {
	// Header is the header of the client's request, with at most 100 fields and 16 KiB. The
	// client chose it: do not trust it unchecked.
	Header http.Header

	// URL has the path and query of the client's request.
	URL *url.URL

	// TLS describes the TLS connection of the client, including its certificate. It is nil for
	// a connection without TLS, or where something in front of the server ends TLS.
	TLS *tls.ConnectionState

	source  source
	session *session
	request context.Context // that of the client's request, for its values
	expiry  *time.Timer     // nil for none; guarded by Server.mu
	drain   drain
}

func newDialer(r *http.Request, from source, s *session) *Dialer {
	d := &Dialer{Header: r.Header.Clone(), URL: r.URL, TLS: r.TLS, source: from, session: s, request: r.Context()}
	withoutTerms(d.Header)
	d.drain.init(s)
	return d
}

// Dial opens a connection to the client, without a round trip. It returns a [Conn].
//
// If the client has hundreds of connections to accept, Dial waits until it accepts one; use
// [Dialer.DialContext] to give up. The error matches [ErrClientGone] if the client is gone,
// [ErrDraining] if one end is about to leave while open connections go on, and [net.ErrClosed]
// after Close of the Dialer or the server.
func (d *Dialer) Dial() (net.Conn, error) {
	return d.DialContext(context.Background(), "", "")
}

// DialContext is Dial with a context, which limits the call and not the connection. Its
// signature fits [http.Transport] and others; it ignores network and addr. It returns a
// [Conn].
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.session.tracedDial(ctx, d.dial)
}

func (d *Dialer) dial(ctx context.Context) (net.Conn, error) {
	if err := d.drain.whyNot(d.session); err != nil {
		return nil, err
	}
	st, err := d.session.mux.Open(ctx)
	switch {
	case err == nil:
	case d.drain.whyNot(d.session) != nil && ctx.Err() == nil: // it began while Open waited
		return nil, context.Cause(d.drain.dialable)
	case errors.Is(err, mux.ErrGoAway): // in the multiplexer's own protocol, as wslis does
		d.drain.start(explainGone(err))
		fallthrough
	default:
		return nil, explainGone(d.session.explain(err))
	}
	return d.session.conn(st), nil
}

// Close ends the session and its connections; blocked calls return with an error. It waits a
// few seconds at most until the client has what was written before.
func (d *Dialer) Close() error {
	d.drain.endDial(fmt.Errorf("transport: dial: %w", d.session.closedHere(net.ErrClosed)))
	return d.session.mux.Close()
}

// CloseWithReason is Close, and tells the client why: the error of its [Listener] matches
// [*ClosedError]. A client with [WithReconnect] connects again all the same, unless its
// [WithRetry] decides otherwise or [WithAuthorize] sends it away. reason is cut to 256 bytes.
// A client that does not negotiate does not get it.
func (d *Dialer) CloseWithReason(reason string) error {
	return d.CloseBecause(errors.New(redact.Quote(reason)), reason)
}

// CloseBecause is [Dialer.CloseWithReason] with another reason for this end: why appears in
// [Dialer.Err] and in the log. Of why the client gets only the [EndReason] in it, such as
// [EndKicked]; if there is none, the reason is [EndClosed].
func (d *Dialer) CloseBecause(why error, reason string) error {
	d.session.closeBecause(why)
	if r := namedReason(why); r.isTold() {
		d.session.say(controlMessage{kind: controlEnding, text: string(r)}) // best effort
	}
	d.session.say(controlMessage{kind: controlClosing, text: reason})
	return d.Close()
}

// Ping asks the client for a sign of life, and waits until it answers, or ctx or the session
// ends. A client that uses native in a browser page, or smux from another library, does not
// answer.
func (d *Dialer) Ping(ctx context.Context) error {
	if err := d.session.mux.Ping(ctx); err != nil {
		return explainGone(d.session.explain(err))
	}
	return nil
}

// Moving reports whether the server has asked the client to move to another session
// ([Dialer.Shutdown], [Server.Shutdown], [WithMaxAge], or because the session runs out of
// stream ids), and the client may still do so. It is false for a client that cannot move and
// may stay.
func (d *Dialer) Moving() bool { return d.drain.asked.Load() }

// Done is closed when the session has ended.
func (d *Dialer) Done() <-chan struct{} { return d.session.mux.Context().Done() }

// Err returns why the session has ended, or nil before that. It matches the same errors as
// that of Dial.
func (d *Dialer) Err() error {
	if err := d.session.err(); err != nil {
		return explainGone(err)
	}
	return nil
}

// Info describes the session.
func (d *Dialer) Info() Info { return d.session.describe() }

// Context returns a context that ends with the session, and has the values of the context of
// the client's request, which handlers around the [Server] may have set.
func (d *Dialer) Context() context.Context {
	return withValuesOf(d.session.mux.Context(), d.request)
}

// withValuesOf returns a context that ends with ctx, and has the values of both contexts,
// first those of values.
func withValuesOf(ctx, values context.Context) context.Context {
	// Derived contexts find their parent through Value; it must be ctx.
	return contextWithValues{ctx, context.WithoutCancel(values)}
}

type contextWithValues struct {
	context.Context
	values context.Context
}

func (c contextWithValues) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// explainGone turns an error of a session into one of its Dialer.
func explainGone(err error) error {
	switch {
	case errors.Is(err, mux.ErrSessionEnded):
		return fmt.Errorf("transport: %w: %w", ErrClientGone, err)
	case errors.Is(err, mux.ErrGoAway):
		return fmt.Errorf("transport: %w: %w", ErrDraining, err)
	}
	return fmt.Errorf("transport: %w", err)
}
