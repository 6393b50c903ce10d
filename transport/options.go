package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

// A ClientOption configures a [Client].
type ClientOption interface{ applyClient(*config) }

// A ServerOption configures a [Server].
type ServerOption interface{ applyServer(*config) }

// An Option configures a [Client] or a [Server].
type Option interface {
	ClientOption
	ServerOption
}

type option func(*config)

func (o option) applyClient(c *config) { o(c) }
func (o option) applyServer(c *config) { o(c) }

type clientOption func(*config)

func (o clientOption) applyClient(c *config) { o(c) }

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
	backoff            *Backoff // nil: a lost session ends the listener
	retry              func(error) bool
	url                func(context.Context) (string, error)
	header             func(context.Context) (http.Header, error)
}

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
// [yamuxmux.New].
//
// [yamuxmux.New]: https://pkg.go.dev/github.com/backdial/backdial/mux/yamuxmux#New
func WithMuxes(muxes ...mux.Muxer) Option {
	return option(func(c *config) { c.muxes = muxes })
}

// WithLimits sets the limits of each session: windows, memory, keepalive. The
// zero value of each field means its default. Whatever MaxStreams says, a
// client cannot open streams to its server.
func WithLimits(limits mux.Config) Option {
	return option(func(c *config) { c.session = limits })
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
// everything from looking up the server's name, on a server the request's
// header. 0 or less means 10 s.
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
// connects again, with pauses as b says, until that fails in a way that will not
// change ([WithRetry]). Without it a lost session ends the listener.
func WithReconnect(b Backoff) ClientOption {
	b = b.withDefaults()
	return clientOption(func(c *config) { c.backoff = &b })
}

// WithRetry sets what decides whether a client with [WithReconnect] connects again
// after err: what DialAndListen failed with, or why a session was lost. If not,
// err ends the listener. The default, which nil means as well, is [Retryable]. A
// client that gets a new token for each attempt ([WithHeaderFunc]) may want to go
// on after 401.
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

// WithRequireNegotiation refuses peers that do not negotiate the multiplexer.
// Without it, a WebSocket peer that does not is taken for a program that uses
// wslis, the ancestor of this package, which speaks yamux.
func WithRequireNegotiation() Option {
	return option(func(c *config) { c.requireNegotiation = true })
}

// WithTrace has the functions of trace called. They replace those of an
// earlier WithTrace.
func WithTrace(trace Trace) Option {
	return option(func(c *config) { c.trace = trace })
}

// WithLogger logs sessions that begin or end at level Info, those that fail to
// begin at Warn, and streams at Debug; of a client's carriers, those that are
// passed over or lose to another at Info, and attempts that start at Debug. The
// default is to log nothing but a panic in a handler.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) { c.logger = l })
}
