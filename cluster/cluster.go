package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// A Cluster is one process's part in a cluster: a replica, which has a fleet of clients that
// others may dial, or a service, which only dials. It is safe for concurrent use.
type Cluster struct {
	config
	clients *fleet.Fleet // nil for a service
	self    Node         // without Name and URL if others cannot reach it
	member  Member       // nil for a service
	peers   *peers
	server  *transport.Server // for sessions that others open, or nil
	owners  owners
	rivals  rivals
	stats   counters

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // for goroutines that run until then
}

// New returns a cluster of the clients of a fleet, or, for a service without clients, of nil.
// Close it when it is no longer used.
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
		if err := checkName(c.tls, c.name); err != nil { // a server in front may have another certificate
			c.logger.Warn("cluster: other replicas will not accept this replica's certificate", "name", c.name, "err", err)
		}
	}
	c.wg.Go(c.announce)
	return nil
}

// peerURL returns the URL of a replica, which has to be one for TLS.
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

// Close withdraws the claims to this process's clients, so that others no longer find them,
// and ends the connections through this process to and from other replicas. The clients stay
// connected. Close may be repeated.
func (c *Cluster) Close() error {
	c.withdraw()
	if c.server != nil {
		c.server.Close()
	}
	c.peers.close()
	c.rivals.close()
	c.wg.Wait()
	return nil
}

// Shutdown is Close that waits for connections in use to be closed. If ctx ends first, it cuts
// them and returns ctx's error. A replica shuts down the server of its clients first, which
// moves them ([transport.Server.Shutdown]).
func (c *Cluster) Shutdown(ctx context.Context) error {
	c.withdraw()
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

// withdraw withdraws all claims, so that others look for clients elsewhere.
func (c *Cluster) withdraw() {
	c.stop()
	if c.member != nil {
		c.member.Close()
	}
}

// Stats describes a cluster, for metrics.
type Stats struct {
	// Peers is how many sessions with other replicas this process has opened, and Relayed how
	// many connections of others lead through it to its clients.
	Peers, Relayed int

	// Local and Remote count the dials, since New, that led to a client of this process and of
	// another replica. Moved counts the answers of replicas that they no longer have a client,
	// and Failed the dials that ended with an error.
	Local, Remote, Moved, Failed uint64
}

// Stats returns the cluster's counts.
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

type counters struct {
	local, remote, moved, failed atomic.Uint64
	relayed                      atomic.Int64
}
