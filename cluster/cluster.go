package cluster

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/setting"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// A Cluster is one process's part in it: a replica, which has a fleet of clients and is
// asked for them by others, or a service, which only dials. It may be used by several
// goroutines at a time.
type Cluster struct {
	config
	clients *fleet.Fleet // nil for a service
	self    Node         // the zero value for who is not asked
	member  Member       // nil for a service
	peers   *peers
	server  *transport.Server // of sessions that others open, or nil
	owners  owners
	rivals  rivals
	stats   counters

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // of what runs until then
}

// New returns a cluster of the clients of a fleet, or for a service that has none, of
// nil. Close it when it is no longer used.
//
//	cluster.New(clients)                        // one machine: only these
//	cluster.New(clients, cluster.WithRegistry(r), cluster.WithTLSConfig(t), cluster.WithNode(name, url))
//	cluster.New(nil, cluster.WithRegistry(r), cluster.WithTLSConfig(t))
func New(clients *fleet.Fleet, opts ...Option) (*Cluster, error) {
	c := &Cluster{clients: clients}
	for _, o := range opts {
		o(&c.config)
	}
	if err := c.init(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return c, nil
}

func (c *Cluster) init() error {
	if err := c.config.check(c.clients != nil); err != nil {
		return err
	}
	c.self = Node{Name: c.name, Run: rand.Text(), URL: c.url}
	if c.pin {
		var err error
		if c.self.Pin, err = ownPin(c.tls); err != nil {
			return err
		}
	}
	c.owners.init()
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.peers = newPeers(c.ctx, &c.config)
	if c.clients == nil {
		return nil
	}
	var err error
	if c.member, err = c.registry.Join(c.self, (*holder)(c)); err != nil {
		c.stop()
		return fmt.Errorf("join the registry: %w", err)
	}
	if c.tls != nil {
		c.server = c.newServer()
		if err := checkName(c.tls, c.name); err != nil { // unless a server in front has another
			c.logger.Warn("cluster: others will not take the certificate for that of this replica", "name", c.name, "err", err)
		}
	}
	c.wg.Go(c.announce)
	return nil
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

// peerURL returns the URL of a replica, which has to be one that TLS is spoken at.
func peerURL(address string) (*url.URL, error) {
	u, err := redact.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the URL of a replica: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("the URL of a replica, %q: want https://host:port", redact.URL(u))
	}
	return u, nil
}

// maxPeerStreams is how many connections another replica may have open to the clients of
// this one: as many as to a single client, and not those that a client may open.
const maxPeerStreams = 16384

// newServer returns the server of the sessions that others open.
func (c *Cluster) newServer() *transport.Server {
	config := ownerTLS(c.tls)
	opts := []transport.ServerOption{
		transport.WithLimits(mux.Config{MaxStreams: maxPeerStreams}),
		transport.WithKeepAlive(peerKeepAlive, peerKeepAlive),
		transport.WithMaxAge(-1),
		transport.WithTrace(transport.Trace{HandshakeFailed: c.peerRefused}),
	}
	for _, o := range c.transport {
		opts = append(opts, o)
	}
	opts = append(opts,
		transport.WithTLSConfig(config),
		transport.WithRequireNegotiation(),
		transport.WithAuthorize(func(r *http.Request) error {
			if err := checkPeer(r, config); err != nil {
				return fmt.Errorf("%w: %w", transport.ErrForbidden, err)
			}
			return nil
		}),
		transport.WithAcceptFromClient(c.answer),
	)
	return transport.NewServer(transport.EndpointHandlerFunc(c.peerConnected), opts...)
}

// peerConnected logs who has connected: what package transport logs is of clients.
func (c *Cluster) peerConnected(d *transport.Dialer) {
	log := c.logger.With("peer", redact.Text(peerOf(d).Subject.String()), "remote", d.Info().RemoteAddr, "session", d.Info().Session)
	log.Info("cluster: peer connected")
	context.AfterFunc(d.Context(), func() { withEnd(log, d.Err()).Info("cluster: peer disconnected") })
}

// withEnd returns l for a line about a session that has ended with err.
func withEnd(l *slog.Logger, err error) *slog.Logger {
	l = l.With("reason", string(transport.EndReasonOf(err)))
	if errors.Is(err, mux.ErrSessionEnded) { // otherwise it has been closed here
		l = l.With("err", err)
	}
	return l
}

// peerRefused logs who was not let in.
func (c *Cluster) peerRefused(r *http.Request, err error) {
	c.logger.Warn("cluster: peer refused", "remote", redact.Text(r.RemoteAddr), "err", err)
}

// peerOf returns the certificate of the other end of a session.
func peerOf(d *transport.Dialer) *x509.Certificate { return d.TLS.PeerCertificates[0] }

// ServeHTTP is where other replicas and services connect to this one: the path of the URL
// in [WithNode]. It is for an HTTP server of the user's that asks for certificates: who
// shows none that the authority of [WithTLSConfig] has issued is refused, whatever that
// server lets in. [Cluster.ListenAndServe] needs no other.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.server == nil {
		http.Error(w, "404 Not Found: this is not a replica that others can reach", http.StatusNotFound)
		return
	}
	c.server.ServeHTTP(w, r)
}

var errNoReplica = errors.New("cluster: this is not a replica that others can reach: it has no clients, or no registry")

// ListenAndServe lets other replicas and services connect at addr, by all carriers of
// [WithTransport], until Close or Shutdown. It always returns an error, which matches
// [net.ErrClosed] then.
func (c *Cluster) ListenAndServe(addr string) error {
	if c.server == nil {
		return errNoReplica
	}
	c.server.Addr = addr
	return c.server.ListenAndServeTLS("", "")
}

// Serve is [Cluster.ListenAndServe] through ln, a listener of TCP on which Serve speaks TLS,
// and which it closes. A carrier that listens by itself is not served.
func (c *Cluster) Serve(ln net.Listener) error {
	if c.server == nil {
		return errNoReplica
	}
	config := ownerTLS(c.tls)
	config.NextProtos = []string{"http/1.1"} // which an upgrade needs
	return c.server.Serve(tls.NewListener(ln, config))
}

// Close ends the connections that lead through this process to and from other replicas,
// and has them not find its clients any more. Those stay connected. It may be repeated.
func (c *Cluster) Close() error {
	c.leave()
	if c.server != nil {
		c.server.Close()
	}
	c.peers.close()
	c.rivals.close()
	c.wg.Wait()
	return nil
}

// Shutdown is Close that waits for connections in use to be closed, until ctx ends: then
// it cuts them, and returns ctx's error. A replica shuts down the server of its clients
// first, which moves them ([transport.Server.Shutdown]).
func (c *Cluster) Shutdown(ctx context.Context) error {
	c.leave()
	ended := make(chan error, 2)
	go func() { ended <- c.peers.shutdown(ctx) }()
	go func() {
		if c.server == nil {
			ended <- nil
			return
		}
		ended <- c.server.Shutdown(ctx)
	}()
	err := errors.Join(<-ended, <-ended)
	c.Close()
	return err
}

// leave has nobody look for clients here any more.
func (c *Cluster) leave() {
	c.stop()
	if c.member != nil {
		c.member.Close()
	}
}

// Stats describes a cluster, for metrics.
type Stats struct {
	// Peers is how many sessions with other replicas this process has opened, and Relayed
	// how many connections of others lead through it to its clients.
	Peers, Relayed int

	// Local and Remote count the dials, since New, that led to a client of this process
	// and of another replica; Moved those answers of replicas that they do not have the
	// client any more, and Failed the dials that ended with an error.
	Local, Remote, Moved, Failed uint64
}

// Stats returns what the cluster has counted.
func (c *Cluster) Stats() Stats {
	return Stats{
		Peers:   c.peers.len(),
		Relayed: int(c.stats.relayed.Load()),
		Local:   c.stats.local.Load(),
		Remote:  c.stats.remote.Load(),
		Moved:   c.stats.moved.Load(),
		Failed:  c.stats.failed.Load(),
	}
}

var errClosed = fmt.Errorf("the cluster is closed: %w", net.ErrClosed)
