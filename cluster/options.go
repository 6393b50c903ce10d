package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"github.com/backdial/backdial/internal/setting"

	"github.com/backdial/backdial/transport"
)

// An Option configures a [Cluster].
type Option func(*config)

type config struct {
	registry   Registry
	name, url  string
	tls        *tls.Config
	pin        bool
	authorize  func(ctx context.Context, peer *x509.Certificate, id string) error
	waits      bool
	tryTimeout time.Duration
	idle       time.Duration
	transport  []transport.Option
	logger     *slog.Logger // that drops everything, unless it is the user's
	silent     bool         // it is not
}

const (
	// defaultTryTimeout is enough for a replica on another continent, and short for who
	// waits while one hangs.
	defaultTryTimeout = time.Second

	// defaultIdleTimeout is that of net/http's connections.
	defaultIdleTimeout = 90 * time.Second

	// peerKeepAlive is how soon replicas notice that the path between them is dead: in
	// twice that. There are few such paths.
	peerKeepAlive = 2 * time.Second

	// peerHandshakeTimeout bounds what it takes to connect to a replica, also for who
	// does not wait for that any more.
	peerHandshakeTimeout = 5 * time.Second
)

// WithRegistry sets what tells which replica holds a client. It needs [WithTLSConfig],
// and [WithNode] for a cluster with clients. The default is a [Local] of this cluster
// alone, with which only its own clients are dialled.
func WithRegistry(r Registry) Option { return func(c *config) { c.registry = r } }

// WithNode makes a cluster a replica that others can reach: name is in its certificate,
// as a DNS name, and url is where its [Cluster.ServeHTTP] is for them, such as
// https://10.0.0.1:7443. Several replicas may have the same name, and certificate.
func WithNode(name, url string) Option { return func(c *config) { c.name, c.url = name, url } }

// WithTLSConfig sets how replicas, and services that dial through them, know each other:
// RootCAs is the authority of the cluster, Certificates has this end's certificate.
// That of a replica is for its name, and for server and client authentication; that of
// a service for client authentication alone, so that it cannot pose as a replica.
// ClientCAs are RootCAs unless they are set. TLS 1.3 is the least, and InsecureSkipVerify
// is refused. t must not be changed afterwards.
func WithTLSConfig(t *tls.Config) Option { return func(c *config) { c.tls = t } }

// WithKeyPin has a replica tell the SHA-256 of its certificate's public key with its
// claims, and others take no other key, whatever is certified. So a certificate that was
// issued by mistake is of no use to who cannot speak to the registry as a replica.
func WithKeyPin() Option { return func(c *config) { c.pin = true } }

// WithAuthorize sets what decides, on the replica that holds a client, whether the owner
// of a certificate may dial it: another replica for one of its users, or a service. An
// error refuses that with [ErrNotAllowed], and is logged, but not shown to the other
// end; so does a panic. The client's own replica is not asked for its own users. By
// default whoever has a certificate of the cluster may dial all clients.
//
// ctx ends when the other end does not wait any more.
func WithAuthorize(authorize func(ctx context.Context, peer *x509.Certificate, id string) error) Option {
	return func(c *config) { c.authorize = authorize }
}

// WithWaitForClient makes a Dial of a client that is not connected wait until it is, for
// as long as the context of the Dial allows, instead of failing with [ErrNotConnected],
// [ErrMoved], [ErrUnavailable] or a [PeerError].
func WithWaitForClient() Option { return func(c *config) { c.waits = true } }

// WithTryTimeout sets how long a replica may take to say whether it holds a client, the
// time to connect to it included, before another is looked for. 0 means 1 s; negative means no bound.
func WithTryTimeout(d time.Duration) Option { return func(c *config) { c.tryTimeout = d } }

// WithIdleTimeout sets for how long a session with another replica is kept that is not
// used. 0 means 90 s; negative means for as long as it lives.
func WithIdleTimeout(d time.Duration) Option { return func(c *config) { c.idle = d } }

// WithTransport sets options of the sessions between replicas, such as carriers and
// multiplexers: those of package transport by default, with a keepalive of 2 s, and
// 16,384 connections in a session. [transport.WithLimits] sets that, too: 0 for its
// MaxStreams means 256.
func WithTransport(opts ...transport.Option) Option {
	return func(c *config) { c.transport = append(c.transport, opts...) }
}

// WithLogger logs sessions with other replicas that begin or end, and what is refused to
// them. The default is to log nothing but a panic in the function of [WithAuthorize].
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// panicLogger is not silent by default, no more than net/http is.
func (c *config) panicLogger() *slog.Logger {
	if c.silent {
		return slog.Default()
	}
	return c.logger
}

// check returns an error for what cannot work, and sets defaults.
func (c *config) check(holdsClients bool) error {
	if c.logger == nil {
		c.logger, c.silent = slog.New(slog.DiscardHandler), true
	}
	c.tryTimeout = setting.Timeout(c.tryTimeout, defaultTryTimeout)
	c.idle = setting.Timeout(c.idle, defaultIdleTimeout)
	if c.registry == nil {
		if !holdsClients {
			return errors.New("no clients, and no registry to find any (WithRegistry)")
		}
		c.registry = NewLocal()
		c.tls = nil // nobody else has it, so nobody is to be let in
		return nil
	}
	if err := checkTLS(c.tls); err != nil {
		return err
	}
	if !holdsClients {
		return nil
	}
	if c.name == "" {
		return errors.New("no name and URL for other replicas (WithNode)")
	}
	_, err := peerURL(c.url)
	return err
}
