package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ident"
	"github.com/backdial/backdial/mux"
)

// A ClientOption configures a [Client].
type ClientOption interface{ applyClient(*config) }

// A ServerOption configures a [Server].
type ServerOption interface{ applyServer(*config) }

// An Option configures a [Client] or a [Server]. Where an option sets a number or a time, 0
// means the default, and a negative value that there is no limit, or that something does not
// happen; what deviates says so.
type Option interface {
	ClientOption
	ServerOption
}

// Options returns an option that stands for opts, in this order: a way to carry several, as
// those of a program for both ends.
func Options(opts ...Option) Option {
	return option(func(c *config) {
		for _, o := range opts {
			o.applyClient(c) // as applyServer does
		}
	})
}

type option func(*config)

func (o option) applyClient(c *config) { o(c) }
func (o option) applyServer(c *config) { o(c) }

type clientOption func(*config)

func (o clientOption) applyClient(c *config) { o(c) }

type serverOption func(*config)

func (o serverOption) applyServer(c *config) { o(c) }

// config is what options set. The zero value means the defaults.
type config struct {
	carriers           []carrier.Carrier
	muxes              []mux.Muxer
	session            mux.Config
	tls                *tls.Config
	handshakeTimeout   time.Duration
	headStart          time.Duration
	requireNegotiation bool
	trace              Trace
	logger             *slog.Logger
	keepAlive          *keepAlive

	// Of clients.
	backoff    *Backoff // nil: a lost session ends the listener
	retry      func(error) bool
	sessions   int
	closeGrace time.Duration
	url        func(context.Context) (string, error)
	header     func(context.Context) (http.Header, error)

	// Of servers.
	serverID         string
	checkOrigin      func(*http.Request) bool // nil: the carrier's own
	authorize        func(*http.Request) error
	acceptFromClient func(*Dialer, net.Conn)
	maxSessions      int
	maxHandshakes    int
	address          AddressLimits
	maxAge           time.Duration
	drainSpread      time.Duration
}

// A keepAlive is what WithKeepAlive sets.
type keepAlive struct{ interval, timeout time.Duration }

// WithCarriers chooses the carriers. A client prefers them in this order and
// uses the first that works (see [Client.DialAndListenContext]), a server serves
// all of them at once. The default is [ws.New].
//
// [ws.New]: https://pkg.go.dev/github.com/backdial/backdial/carrier/ws#New
func WithCarriers(carriers ...carrier.Carrier) Option {
	return option(func(c *config) { c.carriers = carriers })
}

// WithMuxes chooses the multiplexers. A client offers them in this order, and
// the server takes the first that it has too. One that needs a carrier with
// streams of its own is only offered and taken there. The default is
// [qmux.New] and [yamuxmux.New].
//
// [qmux.New]: https://pkg.go.dev/github.com/backdial/backdial/mux/qmux#New
// [yamuxmux.New]: https://pkg.go.dev/github.com/backdial/backdial/mux/yamuxmux#New
func WithMuxes(muxes ...mux.Muxer) Option {
	return option(func(c *config) { c.muxes = muxes })
}

// WithLimits sets the limits of each session: windows, memory, streams. The
// zero value of each field means its default, which for MaxStreams of a server is
// 256, and has a meaning only with [WithAcceptFromClient]. OnMessage and OnExhausting
// are not used.
func WithLimits(limits mux.Config) Option {
	limits.OnExhausting = nil
	return option(func(c *config) { c.session = limits })
}

// WithKeepAlive sets how often an end asks the other for a sign of life, and for
// how long it then waits for one: so a path that is dead is noticed within
// interval and timeout, and all that waits for it fails with an error that matches
// mux.ErrSessionEnded and mux.ErrSilent. Both ends ask, each as it is set there. 0
// means 15 s each: proxies and NATs tend to forget connections that are idle for a
// minute. A negative interval means never; a timeout is no longer than the
// interval. It goes before what [WithLimits] says.
func WithKeepAlive(interval, timeout time.Duration) Option {
	return option(func(c *config) { c.keepAlive = &keepAlive{interval, timeout} })
}

// WithTLSConfig sets how TLS connections are made. A client needs it to trust
// a server whose certificate the system does not trust, or to present one of
// its own. A server may have its certificates there, instead of in files.
// t must not be changed afterwards. What waits in one of its functions keeps the
// handshake waiting, beyond all timeouts.
func WithTLSConfig(t *tls.Config) Option {
	return option(func(c *config) { c.tls = t })
}

// WithHandshakeTimeout bounds what it takes to make a session: on a client
// everything from looking up the server's name, on a server what comes before the
// end of the request's header. 0 means 10 s; negative means no bound.
func WithHandshakeTimeout(d time.Duration) Option {
	return option(func(c *config) { c.handshakeTimeout = d })
}

// WithHeadStart sets how long each carrier of a client is tried alone before the
// next one is tried beside it. No carrier waits for more than its share of the
// handshake timeout. 0 means 300 ms; negative means none: all are tried at once,
// and the fastest is used.
func WithHeadStart(d time.Duration) ClientOption {
	return clientOption(func(c *config) { c.headStart = d })
}

// WithReconnect has a client's listener outlive its sessions: when one is lost, it
// connects again, with pauses as b says, until the server itself sends the client away
// for good ([Retryable]). Other refusals do not end it: they are tried again more and
// more seldom, which is logged at level Warn ([WithLogger]) and told to
// [Trace.StateChanged]. Without it a lost session ends the listener, and DialAndListen
// fails with the first refusal.
func WithReconnect(b Backoff) ClientOption {
	b = b.withDefaults()
	return clientOption(func(c *config) { c.backoff = &b })
}

// WithSessions has a client's listener hold up to n sessions at once, each to another of
// the servers behind one load balancer, so that it is still connected when one of these
// is lost. Accept returns the connections of all of them, [Listener.DialContext] uses one
// that works, and a session that is lost or whose server asks the client to move is
// replaced while the others go on. A listener ends when it has ended for each session. 0
// means 1, and 8 is the most. It needs [WithReconnect]: without that, or with another n,
// DialAndListen fails.
//
// DialAndListen returns with the first session. The others are made one at a time, and
// only beside servers that have said who they are ([WithServerID]): a client of servers
// that do not, such as those of wslis, has one session. The request for another lists
// the servers that there are sessions to, in the header Backdial-Connected. One that
// finds itself there refuses with status 421, and the client goes on, with the pauses of
// its [Backoff], until it is led to another server. If something on the way removes that
// header, the client gives up a second session to the same server as soon as it knows
// ([ErrAlreadyConnected]), and goes on as after a refusal. If there are fewer than n, that is
// one request in half of Backoff.Max on average, for as long as the listener lives:
// 15 s by default, or 670 requests a second of 10,000 such clients. A load balancer that
// leads a client to the same server each time lets it have one session. WithRetry has
// to let 421 pass, as [Retryable] does.
func WithSessions(n int) ClientOption {
	return clientOption(func(c *config) { c.sessions = n })
}

// checkSessions returns what is wrong with WithSessions.
func (c *config) checkSessions() error {
	switch {
	case c.sessions < 0 || c.sessions > maxSessionsOfClient:
		return fmt.Errorf("WithSessions(%d): a client holds 1 to %d sessions", c.sessions, maxSessionsOfClient)
	case c.sessions > 1 && c.backoff == nil:
		return fmt.Errorf("WithSessions(%d): a client that holds several sessions needs WithReconnect too", c.sessions)
	}
	return nil
}

// WithCloseGrace sets for how long connections that are in use go on after
// [Listener.Close]: as long as the Shutdown of what serves the listener may take. 0 means
// 5 s; negative means that Close cuts them.
func WithCloseGrace(d time.Duration) ClientOption {
	return clientOption(func(c *config) { c.closeGrace = d })
}

// WithRetry sets what decides whether a client with [WithReconnect] connects again
// after err: what DialAndListen failed with, or why a session was lost. If not,
// err ends the listener. The default, which nil means as well, is [Retryable]; with
// [WithURLFunc], a URL that is of no use is retried too. A client that gets a new token
// for each attempt ([WithHeaderFunc]) may want to go on after 401. What is retried
// although it is a refusal has the pauses of one ([Backoff]). As with a [Trace], retry must not call Close or Shutdown of the
// listener, which wait for it; nor must the functions of the next two options.
func WithRetry(retry func(err error) bool) ClientOption {
	return clientOption(func(c *config) { c.retry = retry })
}

// WithHeaderFunc sets what makes the header of each attempt to connect, instead of
// [Client.Header]: with a token that does not last, for instance. ctx ends with
// the attempt. An error fails it.
func WithHeaderFunc(header func(ctx context.Context) (http.Header, error)) ClientOption {
	return clientOption(func(c *config) { c.header = header })
}

// WithURLFunc sets what names the URL of each attempt to connect, instead of
// [Client.URL]. ctx ends with the attempt. An error fails it.
func WithURLFunc(url func(ctx context.Context) (string, error)) ClientOption {
	return clientOption(func(c *config) { c.url = url })
}

// WithCheckOrigin sets what decides whether a page in a browser may connect, going
// by the Origin of its request, instead of what the carriers decide by: they accept
// requests without an Origin, and pages of the host that the request is for. If it
// reports false, the answer is status 403.
func WithCheckOrigin(check func(*http.Request) bool) ServerOption {
	return serverOption(func(c *config) { c.checkOrigin = check })
}

// WithAuthorize sets what decides, before the upgrade, whether a client may
// connect. An error refuses it, and is taken for trouble of the server's, such as a
// database that does not answer: the client is told to come back, with status 503 and a
// Retry-After header, and is not shown the error. To refuse the client as such, authorize
// returns an error that matches [ErrUnauthorized] or [ErrForbidden], or a
// [*carrier.RejectedError], which is the answer, with its status, header and body, such
// as 401 with WWW-Authenticate, or 429 with Retry-After.
//
// Status 401, 403, 404 and 410 send the client away for good, unless there is a
// Retry-After header: the answer has the header Backdial-Rejected ([carrier.RejectedHeader]),
// which a RejectedError of another status may have in its own Header. A client with
// [WithReconnect] then ends its listener. It connects again when its program does so, for
// instance because it is restarted: nothing that the server does brings it back. So this
// is for clients that are known to be unwanted, and not for those that are merely not
// known, not yet, or not to this server. These are better refused with 403 and a
// Retry-After header: they come back when the mistake is mended.
//
// What authorize adds to the context of the request, as in
//
//	*r = *r.WithContext(context.WithValue(r.Context(), key, value))
//
// is found in [Dialer.Context]. The context ends after the handshake timeout
// ([WithHandshakeTimeout]). Then the client is refused with status 503; as long as
// authorize goes on all the same, it counts as a handshake ([WithMaxHandshakes]). If
// it panics, that is logged, and the answer is status 500.
//
// [*carrier.RejectedError]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError
// [carrier.RejectedHeader]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedHeader
func WithAuthorize(authorize func(r *http.Request) error) ServerOption {
	return serverOption(func(c *config) { c.authorize = authorize })
}

// WithAcceptFromClient lets clients open connections to the server too
// ([Listener.DialContext]), and has handle called with each, in a goroutine of its
// own. conn is a [Conn], and handle closes it. If handle panics, that is logged, and
// the session closed. A client may have 256 connections open at a time ([WithLimits],
// MaxStreams), with the native multiplexer 62 (webtransport.WithMaxStreams), and
// 256 that have not been accepted yet. Without this option they are refused at once,
// and a client that goes on trying loses its session.
func WithAcceptFromClient(handle func(d *Dialer, conn net.Conn)) ServerOption {
	return serverOption(func(c *config) { c.acceptFromClient = handle })
}

// WithServerID says which of the servers behind a load balancer this one is, so that a
// client that is to hold several sessions ([WithSessions]) holds them to different
// servers: no two may have the same ID. Clients that negotiate are told ([Info.Server]),
// and one that has a session here already, as it says, is refused with status 421 before
// [WithAuthorize] is asked: so it is no secret. An ID is what fleet.CheckID accepts: 1 to
// 128 letters, digits and any of -._~, and no dot at either end. WithServerID panics if id
// is not.
func WithServerID(id string) ServerOption {
	if !ident.Valid(id) {
		panic(fmt.Sprintf("transport: WithServerID(%.*q): %s", ident.MaxLength, id, ident.Rule))
	}
	return serverOption(func(c *config) { c.serverID = id })
}

// WithMaxSessions limits the clients that are connected at a time. More are
// refused with status 503 and a Retry-After header. 0 means 65,536; negative means no
// limit.
func WithMaxSessions(n int) ServerOption {
	return serverOption(func(c *config) { c.maxSessions = n })
}

// WithMaxHandshakes limits the handshakes that are under way at a time, such as
// those that wait for [WithAuthorize]. More are refused with status 503 and a
// Retry-After header. It is also how many connections there may be of clients that
// have not sent their request, on a carrier that listens by itself: for another, the
// one that has waited longest is ended. 0 means 1,024; negative means no limit.
func WithMaxHandshakes(n int) ServerOption {
	return serverOption(func(c *config) { c.maxHandshakes = n })
}

// WithMaxAge limits how old a session gets, so that clients are authorized anew,
// and spread over servers that were added. At 80 to 90 % of it the client is asked
// to move ([Dialer.Shutdown]). When it has, the session is closed as soon as its
// connections are, and what is left is cut at that age. One that cannot move,
// because it has no [WithReconnect] or does not negotiate, is treated in the same
// way, and may connect again when it has lost its session.
//
// 0 means that clients which can move are asked to in the course of a day, and that
// nothing is cut: a session is closed when its client has moved and its connections
// are closed. Negative means no limit.
func WithMaxAge(age time.Duration) ServerOption {
	return serverOption(func(c *config) { c.maxAge = age })
}

// WithDrainSpread sets over how long the clients of a server that shuts down are
// asked to move, or closed if they cannot, each at a moment of its own. It takes a
// quarter of the time that the context of [Server.Shutdown] leaves at most. 0 means
// 10 ms for each client and 10 s at most, so that of 10,000 clients a thousand arrive
// elsewhere in a second; negative means no time.
func WithDrainSpread(d time.Duration) ServerOption {
	return serverOption(func(c *config) { c.drainSpread = d })
}

// WithRequireNegotiation refuses peers that do not negotiate the multiplexer.
// Without it, a WebSocket peer that does not is taken for a program that uses
// wslis, the ancestor of this package, which speaks yamux.
//
// Without it, whoever can change the headers of a handshake can have both ends speak
// yamux: over TLS, that is who terminates it, such as a proxy. If the server's choice is
// removed, but not the client's offer, the first session fails. The client offers nothing
// to that host for an hour then, and the server speaks yamux too. With this option on
// either end there is no session where something is removed.
func WithRequireNegotiation() Option {
	return option(func(c *config) { c.requireNegotiation = true })
}

// WithTrace has the functions of trace called, after those of an earlier WithTrace.
func WithTrace(trace Trace) Option {
	return option(func(c *config) { c.trace = c.trace.then(trace) })
}

// WithLogger logs sessions that begin or end at level Info, those that fail to
// begin at Warn, or at Debug if the server says that there is one already
// ([WithSessions]), and streams at Debug; that a client with [WithReconnect] is refused at
// Warn, and that it gives up connecting at Error; of a client's carriers, those that are
// passed over or lose to another at Info, and attempts that start at Debug. The
// default is to log nothing but a panic in a handler. The package documentation says what
// lines have in them.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) { c.logger = l })
}
