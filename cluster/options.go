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
	logger     *slog.Logger // the user's, or one that drops everything
	silent     bool         // logger drops everything
}

const (
	// defaultTryTimeout is enough for a replica on another continent, and short for a user who
	// waits while a replica hangs.
	defaultTryTimeout = time.Second

	// defaultIdleTimeout is that of net/http's connections.
	defaultIdleTimeout = 90 * time.Second

	// peerKeepAlive makes replicas notice a dead path between them in twice that time. There
	// are few such paths.
	peerKeepAlive = 2 * time.Second

	// peerHandshakeTimeout limits the time to connect to a replica, even when nothing waits
	// for it any more.
	peerHandshakeTimeout = 5 * time.Second
)

// WithRegistry sets the registry, which tells which replica holds a client. It needs
// [WithTLSConfig], and [WithNode] for a cluster with clients. The default is a [Local] of this
// cluster alone, with which it dials only its own clients.
func WithRegistry(r Registry) Option { return func(c *config) { c.registry = r } }

// WithNode makes a cluster a replica that others can reach. name is in its certificate, as a
// DNS name. url is where others reach its [Cluster.ServeHTTP], such as https://10.0.0.1:7443.
// Several replicas may have the same name and certificate.
func WithNode(name, url string) Option { return func(c *config) { c.name, c.url = name, url } }

// WithTLSConfig sets how replicas, and services that dial through them, know each other.
// RootCAs is the authority of the cluster, and Certificates has this end's certificate. That
// of a replica is for its name, and for server and client authentication; that of a service is
// for client authentication alone, so that the service cannot pose as a replica. ClientCAs are
// RootCAs unless set. The minimum version is TLS 1.3, and InsecureSkipVerify is an error. Do
// not change t afterwards.
func WithTLSConfig(t *tls.Config) Option { return func(c *config) { c.tls = t } }

// WithKeyPin makes a replica add the SHA-256 of its certificate's public key to its claims;
// others then accept no other key, whatever is certified. So a certificate issued by mistake
// is useless without access to the registry as a replica.
func WithKeyPin() Option { return func(c *config) { c.pin = true } }

// WithAuthorize sets the function that decides, on the replica that holds a client, whether
// the owner of a certificate may dial the client: another replica for one of its users, or a
// service. An error refuses that with [ErrNotAllowed]. The replica logs it, and does not show
// it to the other end; the same goes for a panic. The function is not called for users of the
// client's own replica. By default anyone with a certificate of the cluster may dial all
// clients.
//
// ctx ends when the other end stops waiting.
func WithAuthorize(authorize func(ctx context.Context, peer *x509.Certificate, id string) error) Option {
	return func(c *config) { c.authorize = authorize }
}

// WithWaitForClient makes a Dial of a client that is not connected wait until it is, for as
// long as the context of the Dial allows, instead of failing with [ErrNotConnected],
// [ErrMoved], [ErrUnavailable] or a [PeerError].
func WithWaitForClient() Option { return func(c *config) { c.waits = true } }

// WithTryTimeout sets how long a replica may take to say whether it holds a client, including
// the time to connect to it, before a Dial looks for another. 0 means 1 s; negative means no
// limit.
func WithTryTimeout(d time.Duration) Option { return func(c *config) { c.tryTimeout = d } }

// WithIdleTimeout sets how long to keep an unused session with another replica. 0 means 90 s;
// negative means for as long as it lives.
func WithIdleTimeout(d time.Duration) Option { return func(c *config) { c.idle = d } }

// WithTransport sets options of the sessions between replicas, such as carriers and
// multiplexers. The defaults are those of package transport, with a keepalive of 2 s, and
// 16,384 connections in a session. [transport.WithLimits] sets that number, too: 0 for its
// MaxStreams means 256.
func WithTransport(opts ...transport.Option) Option {
	return func(c *config) { c.transport = append(c.transport, opts...) }
}

// WithLogger logs sessions with other replicas that begin or end, and what this process
// refuses them. The default is to log only a panic in the function of [WithAuthorize].
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// panicLogger returns the logger for panics, which are logged by default, as in net/http.
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
		c.tls = nil // no other process has this registry, so let none in
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
