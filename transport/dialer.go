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

// ErrClientGone is matched by the errors of a [Dialer] whose client has left
// or was lost.
var ErrClientGone = errors.New("client gone")

// A Dialer is a server's end of a session: it dials one client. It may be used
// by any number of goroutines, for as long as the client stays connected. A
// client that comes back is another Dialer.
type Dialer struct {
	// Header of the client's request, of 100 fields and 16 KiB at most. The client
	// chose it: check it before you believe it.
	Header http.Header

	// URL of the client's request: its path and query.
	URL *url.URL

	// TLS is how the client's connection is secured, its certificate
	// included, or nil if it is not, or by someone in front of the server.
	TLS *tls.ConnectionState

	source  source
	session *session
	request context.Context // of the client's request, for its values
	expiry  *time.Timer     // nil for none; guarded by Server.mu
	drain   drain
}

func newDialer(r *http.Request, from source, s *session) *Dialer {
	d := &Dialer{Header: r.Header.Clone(), URL: r.URL, TLS: r.TLS, source: from, session: s, request: r.Context()}
	d.drain.init(s)
	return d
}

// Dial opens a connection to the client. It costs no round trip. What it
// returns is a [Conn].
//
// While a client has hundreds of connections to accept, Dial waits for it to
// accept one; [Dialer.DialContext] can give up. The error matches
// [ErrClientGone] if the client is, [ErrDraining] if one of the two ends is about
// to leave and what is open goes on, and [net.ErrClosed] after Close of the Dialer
// or the server.
func (d *Dialer) Dial() (net.Conn, error) {
	return d.DialContext(context.Background(), "", "")
}

// DialContext is Dial with a context, which bounds the call and not the
// connection. Its signature fits [http.Transport] and the like; network and
// addr are not used. What it returns is a [Conn].
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
	case d.drain.whyNot(d.session) != nil && ctx.Err() == nil: // while it waited
		return nil, context.Cause(d.drain.dialable)
	case errors.Is(err, mux.ErrGoAway): // said in the multiplexer's own words, as by wslis
		d.drain.start(explainGone(err))
		fallthrough
	default:
		return nil, explainGone(d.session.explain(err))
	}
	return d.session.conn(st), nil
}

// Close ends the session and its connections. Blocked calls return with an
// error. Close waits a few seconds at most until the client has what was
// written before.
func (d *Dialer) Close() error {
	d.drain.endDial(fmt.Errorf("transport: dial: %w", d.session.closedHere(net.ErrClosed)))
	return d.session.mux.Close()
}

// CloseWithReason is Close, and tells the client why: its [Listener] ends with a
// [*ClosedError]. With [WithReconnect] it connects again all the same, unless its
// [WithRetry] says otherwise or [WithAuthorize] sends it away. reason is cut to 256 bytes.
// A client that does not negotiate is not told.
func (d *Dialer) CloseWithReason(reason string) error {
	return d.CloseBecause(errors.New(redact.Quote(reason)), reason)
}

// CloseBecause is [Dialer.CloseWithReason] for a reason that is another on this end: why is
// in the error of [Dialer.Err] and the log, and is not told to the client, but for the
// [EndReason] in it, such as [EndKicked]. Without one the reason is [EndClosed].
func (d *Dialer) CloseBecause(why error, reason string) error {
	d.session.closeBecause(why)
	if r := namedReason(why); r.isTold() {
		d.session.say(controlMessage{kind: controlEnding, text: string(r)}) // as far as it can be told
	}
	d.session.say(controlMessage{kind: controlClosing, text: reason})
	return d.Close()
}

// Ping asks the client for a sign of life and waits until it gives one, or ctx or the
// session has ended. A client that speaks native in a page of a browser, or smux by
// another library, gives none.
func (d *Dialer) Ping(ctx context.Context) error {
	if err := d.session.mux.Ping(ctx); err != nil {
		return explainGone(d.session.explain(err))
	}
	return nil
}

// Moving reports whether the client has been asked to move to another session
// ([Dialer.Shutdown], [Server.Shutdown], [WithMaxAge], or because the session's stream
// ids run out), and may still do so: a client that is let stay, because it cannot move,
// is not moving.
func (d *Dialer) Moving() bool { return d.drain.asked.Load() }

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
	return withValuesOf(d.session.mux.Context(), d.request)
}

// withValuesOf returns a context that ends with ctx, and has the values of another,
// and of ctx itself.
func withValuesOf(ctx, values context.Context) context.Context {
	// What is derived from it asks it for its end by a value, which is to be ctx's.
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

// explainGone makes an error of a session one of its Dialer.
func explainGone(err error) error {
	switch {
	case errors.Is(err, mux.ErrSessionEnded):
		return fmt.Errorf("transport: %w: %w", ErrClientGone, err)
	case errors.Is(err, mux.ErrGoAway):
		return fmt.Errorf("transport: %w: %w", ErrDraining, err)
	}
	return fmt.Errorf("transport: %w", err)
}
