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
	"github.com/backdial/backdial/internal/origin"
	"github.com/backdial/backdial/mux"
)

// A ClientOption configures a [Client].
type ClientOption interface{ applyClient(*config) }

// A ServerOption configures a [Server].
type ServerOption interface{ applyServer(*config) }

// An Option configures a [Client] or a [Server]. Where an option sets a number or a time, 0
// means the default, and a negative value means no limit, or that something does not happen.
// Options that deviate say so.
type Option interface {
	ClientOption
	ServerOption
}

// Options returns an option that applies opts in order. Use it to pass several as one, such as
// those that a program has for both ends.
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

// A keepAlive is the setting of WithKeepAlive.
type keepAlive struct{ interval, timeout time.Duration }

// WithCarriers sets the carriers. A client prefers them in this order and uses the first that
// works (see [Client.DialAndListenContext]). A server serves all of them at once. The default
// is [ws.New].
//
// [ws.New]: https://pkg.go.dev/github.com/backdial/backdial/carrier/ws#New
func WithCarriers(carriers ...carrier.Carrier) Option {
	return option(func(c *config) { c.carriers = carriers })
}

// WithMuxes sets the multiplexers. A client offers them in this order, and the server takes
// the first that it has too. A multiplexer that needs a carrier with streams of its own is
// used only on such a carrier. The default is [qmux.New] and [yamuxmux.New].
//
// [qmux.New]: https://pkg.go.dev/github.com/backdial/backdial/mux/qmux#New
// [yamuxmux.New]: https://pkg.go.dev/github.com/backdial/backdial/mux/yamuxmux#New
func WithMuxes(muxes ...mux.Muxer) Option {
	return option(func(c *config) { c.muxes = muxes })
}

// WithLimits sets the limits of each session: windows, memory, streams. In each field, zero
// means the default. MaxStreams of a server is 256 by default, and matters only with
// [WithAcceptFromClient]. OnMessage, OnExhausting and Greeting are ignored.
func WithLimits(limits mux.Config) Option {
	limits.OnExhausting = nil
	return option(func(c *config) { c.session = limits })
}

// WithKeepAlive sets how long an end hears nothing before it asks the other for a sign of
// life, and how long it then waits for one. So it notices a dead path within interval and
// timeout; whatever waits for that path then fails with an error that matches
// mux.ErrSessionEnded and mux.ErrSilent. 0 means 15 s for each: proxies and NATs tend to
// forget connections that are idle for a minute. A negative interval means never. A timeout
// that is negative, or longer than the interval, is as long as the interval. WithKeepAlive
// overrides [WithLimits].
//
// An interval that one end has set counts for both, if it is longer than the other's: a device
// that has to save its battery, or a server with many devices, is not woken more often than
// it wants. No end waits for more than 10 minutes for that reason alone. An end that never
// asks leaves the other's interval as it is, and so does one of an older version.
func WithKeepAlive(interval, timeout time.Duration) Option {
	return option(func(c *config) { c.keepAlive = &keepAlive{interval, timeout} })
}

// WithTLSConfig sets the configuration of TLS connections. A client needs it to trust a server
// whose certificate the system does not trust, or to present a certificate of its own. A
// server may have its certificates in it instead of in files. Do not change t afterwards. A
// function in t that blocks holds up the handshake beyond all timeouts.
func WithTLSConfig(t *tls.Config) Option {
	return option(func(c *config) { c.tls = t })
}

// WithHandshakeTimeout limits the time to make a session: on a client from looking up the
// server's name, on a server until the end of the request's header. 0 means 10 s; negative
// means no limit.
func WithHandshakeTimeout(d time.Duration) Option {
	return option(func(c *config) { c.handshakeTimeout = d })
}

// WithHeadStart sets how long a client tries each carrier alone before it tries the next one
// beside it. No carrier waits for more than its share of the handshake timeout. 0 means 300
// ms; negative means none: the client tries all at once and uses the fastest.
func WithHeadStart(d time.Duration) ClientOption {
	return clientOption(func(c *config) { c.headStart = d })
}

// WithReconnect makes a client's listener outlive its sessions. When a session is lost, the
// client connects again, with pauses according to b, until the server itself sends it away for
// good ([Retryable]). It tries again after other refusals too, less and less often, which it
// logs at level Warn ([WithLogger]) and reports to [Trace.StateChanged]. Without WithReconnect
// a lost session ends the listener, and DialAndListen fails with the first refusal.
func WithReconnect(b Backoff) ClientOption {
	b = b.withDefaults()
	return clientOption(func(c *config) { c.backoff = &b })
}

// WithSessions makes a client's listener hold up to n sessions at once, each to another of the
// servers behind one load balancer, so that it stays connected when one of these is lost.
// Accept returns the connections of all of them, and [Listener.DialContext] uses one that
// works. The client replaces a session that is lost, or whose server asks it to move, while
// the others go on. The listener ends when it has ended for each session. 0 means 1, and 8 is
// the most. WithSessions needs [WithReconnect]: without that, or if n is negative or more than 8,
// DialAndListen fails.
//
// DialAndListen returns with the first session. The client makes the others one at a time, and
// only beside servers that have named themselves ([WithServerID]): with servers that do not,
// such as those of wslis, a client has one session. Its request for another session lists the
// servers that it has sessions to, in the header Backdial-Connected. A server in that list
// refuses with status 421, and the client tries again, with the pauses of its [Backoff], until
// it reaches another server. If something on the way removes the header, the client gives up a
// second session to the same server as soon as it knows ([ErrAlreadyConnected]), and goes on
// as after a refusal.
//
// With fewer than n servers, each client makes one request in half of Backoff.Max on average,
// for as long as the listener lives: one in 15 s by default, or 670 requests a second of
// 10,000 such clients. If a load balancer leads a client to the same server each time, it has
// one session. The function of [WithRetry] must let 421 pass, as [Retryable] does.
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

// WithCloseGrace sets how long connections in use go on after [Listener.Close]. Set it to the
// time that Shutdown of the HTTP or gRPC server on the listener may take. 0 means 5 s;
// negative means that Close cuts them.
func WithCloseGrace(d time.Duration) ClientOption {
	return clientOption(func(c *config) { c.closeGrace = d })
}

// WithRetry sets the function that decides whether a client with [WithReconnect] connects
// again after err, which is the error of DialAndListen or the end of a session. If it returns
// false, err ends the listener. The default, also for nil, is [Retryable]; with [WithURLFunc],
// the default retries after an invalid URL too. A client that gets a new token for each
// attempt ([WithHeaderFunc]) may want to go on after 401. A retry after a refusal has the
// pauses of one ([Backoff]).
//
// retry must not call Close or Shutdown of the listener, which wait for it, and neither must
// the functions of WithHeaderFunc and WithURLFunc.
func WithRetry(retry func(err error) bool) ClientOption {
	return clientOption(func(c *config) { c.retry = retry })
}

// WithHeaderFunc sets the function that makes the header of each attempt to connect, instead
// of [Client.Header]: with a token that expires, for instance. ctx ends with the attempt. An
// error fails the attempt.
func WithHeaderFunc(header func(ctx context.Context) (http.Header, error)) ClientOption {
	return clientOption(func(c *config) { c.header = header })
}

// WithURLFunc sets the function that returns the URL of each attempt to connect, instead of
// [Client.URL]. ctx ends with the attempt. An error fails the attempt.
func WithURLFunc(url func(ctx context.Context) (string, error)) ClientOption {
	return clientOption(func(c *config) { c.url = url })
}

// WithCheckOrigin sets the function that decides, by the Origin of its request, whether a page
// in a browser may connect. If it returns false, the answer is status 403. The default accepts
// requests without an Origin, and pages of the host that the request is for.
func WithCheckOrigin(check func(*http.Request) bool) ServerOption {
	return serverOption(func(c *config) { c.checkOrigin = check })
}

// WithAllowedOrigins lets pages of these origins connect too, such as
// "https://app.example:8443". The default rule of [WithCheckOrigin] still accepts the others that
// it accepts. Origins must match exactly: there are no wildcards.
func WithAllowedOrigins(origins ...string) ServerOption {
	return WithCheckOrigin(origin.Among(origins))
}

// WithAuthorize sets the function that decides, before the upgrade, whether a client may
// connect. An error refuses the client. By itself an error means trouble of the server's, such
// as a database that does not answer: the answer is status 503 with a Retry-After header, it
// does not contain the error, and the client comes back. To refuse the client itself, return
// an error that matches [ErrUnauthorized] or [ErrForbidden], or a [*carrier.RejectedError]
// that has the status, header and body of the answer, such as 401 with WWW-Authenticate, or
// 429 with Retry-After.
//
// Status 401, 403, 404 and 410 without a Retry-After header send the client away for good: the
// answer gets the header Backdial-Rejected ([carrier.RejectedHeader]). A RejectedError with
// another status may have that header in its own Header. A client with [WithReconnect] then
// ends its listener. It connects again only if its program does so, for instance after a
// restart; the server cannot bring it back. So send away only clients that are known to be
// unwanted. If a client is merely unknown, not known yet, or not known to this server, prefer
// 403 with a Retry-After header: then it comes back after the mistake is mended.
//
// [Dialer.Context] has what authorize adds to the context of the request, as in
//
//	*r = *r.WithContext(context.WithValue(r.Context(), key, value))
//
// The context ends after the handshake timeout ([WithHandshakeTimeout]). Then the server
// refuses the client with status 503. While authorize still runs, it counts as a handshake
// ([WithMaxHandshakes]). If it panics, the server logs that and answers with status 500.
//
// [*carrier.RejectedError]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError
// [carrier.RejectedHeader]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedHeader
func WithAuthorize(authorize func(r *http.Request) error) ServerOption {
	return serverOption(func(c *config) { c.authorize = authorize })
}

// WithAcceptFromClient lets clients open connections to the server too
// ([Listener.DialContext]), and calls handle with each, in a goroutine of its own. conn is a
// [Conn], and handle must close it. If handle panics, the server logs that and closes the
// session. A client may have 256 connections open at a time ([WithLimits], MaxStreams), with
// the native multiplexer 62 (webtransport.WithMaxStreams), and 256 more that are not accepted
// yet. Without this option the server refuses such connections at once, and a client that
// keeps trying loses its session.
func WithAcceptFromClient(handle func(d *Dialer, conn net.Conn)) ServerOption {
	return serverOption(func(c *config) { c.acceptFromClient = handle })
}

// WithServerID names this server among those behind a load balancer, so that a client with
// several sessions ([WithSessions]) has them to different servers. No two servers may have the
// same ID. The server tells its ID to clients that negotiate ([Info.Server]). It refuses a
// client that says it has a session here already, with status 421, before it calls
// [WithAuthorize]: so the ID is no secret. An ID is what fleet.CheckID accepts: 1 to 128
// letters, digits and any of -._~, with no dot at either end. WithServerID panics if id is
// none.
func WithServerID(id string) ServerOption {
	if !ident.Valid(id) {
		panic(fmt.Sprintf("transport: WithServerID(%.*q): %s", ident.MaxLength, id, ident.Rule))
	}
	return serverOption(func(c *config) { c.serverID = id })
}

// WithMaxSessions limits the number of connected clients. The server refuses more with status
// 503 and a Retry-After header. 0 means 65,536; negative means no limit.
func WithMaxSessions(n int) ServerOption {
	return serverOption(func(c *config) { c.maxSessions = n })
}

// WithMaxHandshakes limits the number of handshakes under way, such as those that wait for
// [WithAuthorize]. The server refuses more with status 503 and a Retry-After header. On a
// carrier that listens by itself, it also limits the connections of clients that have not sent
// their request: a new one ends the one that has waited longest. 0 means 1,024; negative means
// no limit.
func WithMaxHandshakes(n int) ServerOption {
	return serverOption(func(c *config) { c.maxHandshakes = n })
}

// WithMaxAge limits the age of a session, so that clients are authorized again and spread over
// new servers. At 80 to 90 % of the age the server asks the client to move
// ([Dialer.Shutdown]). When the client has moved, the server closes the session as soon as its
// connections are closed; at the full age it cuts what is left. A client that cannot move,
// because it has no [WithReconnect] or does not negotiate, is treated in the same way, and may
// connect again when it has lost its session.
//
// 0 means that the server asks clients that can move to do so within a day, and cuts nothing:
// it closes a session when the client has moved and the connections are closed. Negative means
// no limit.
func WithMaxAge(age time.Duration) ServerOption {
	return serverOption(func(c *config) { c.maxAge = age })
}

// WithDrainSpread sets the time over which a server that shuts down asks its clients to move,
// or closes those that cannot, each at a moment of its own. It takes at most a quarter of the
// time until the deadline of [Server.Shutdown]'s context. 0 means 10 ms for each client and at
// most 10 s, so that of 10,000 clients a thousand arrive elsewhere in a second; negative means
// no time.
func WithDrainSpread(d time.Duration) ServerOption {
	return serverOption(func(c *config) { c.drainSpread = d })
}

// WithRequireNegotiation refuses peers that do not negotiate the multiplexer. Without it, a
// WebSocket peer that does not negotiate counts as a program that uses wslis, the ancestor of
// this package, and gets yamux.
//
// So without this option, anyone who can change the headers of a handshake can make both ends
// use yamux: over TLS, that is only something that terminates it, such as a proxy. If it
// removes the server's choice but not the client's offer, the first session fails. Then the
// client offers nothing to that host for an hour, so that the server uses yamux too. With this
// option on either end there is no session where something is removed.
func WithRequireNegotiation() Option {
	return option(func(c *config) { c.requireNegotiation = true })
}

// WithTrace calls the functions of trace, after those of an earlier WithTrace.
func WithTrace(trace Trace) Option {
	return option(func(c *config) { c.trace = c.trace.then(trace) })
}

// WithLogger logs at these levels:
//
//   - Debug: streams; attempts of a client's carriers that start; and sessions that do not
//     begin because the client has one to the same server ([WithSessions])
//   - Info: sessions that begin or end; and carriers that a client passes over, or that lose
//     to another
//   - Warn: other sessions that fail to begin; and refusals of a client with [WithReconnect]
//   - Error: that such a client gives up connecting
//
// The default is to log only a panic in a handler. The package documentation lists the
// attributes of a line.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) { c.logger = l })
}
