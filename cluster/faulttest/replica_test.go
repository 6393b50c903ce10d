package faulttest

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
	"github.com/backdial/backdial/cluster/natsserver"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

// beat is how often engines, and those who use them, ask each other for a sign of life. The
// second one that is missing ends the connection.
const beat = 500 * time.Millisecond

// silence is after how long a client and its replica ask for a sign of life, and how long they
// wait for one: longer than a loaded machine makes them wait.
const silence = 3 * beat

// A setup is what a replica is told before it listens.
type setup struct {
	Name                 string
	CA, Certificate, Key string   // files
	Join                 []string // addresses of the engines of others
	Engine               string   // address of an engine apart, or "" for one of its own
	Waits                bool     // for clients that are not there
}

// Addresses are where a replica listens: for clients, for other replicas, for routes of
// other engines, and if it is a child, for who dials through it.
type addresses struct{ Clients, Peers, Routes, Gate string }

// An instance is one run of a replica, in whichever process.
type instance struct {
	*cluster.Cluster
	name     string
	tls      *tls.Config
	log      *slog.Logger
	devices  net.Listener
	peers    net.Listener
	engine   *natsserver.Server // nil if it is apart
	registry *natsregistry.Registry
	clients  *fleet.Fleet
	server   *transport.Server
	serving  sync.WaitGroup
}

// prepare makes a replica listen. It serves nothing before start.
func prepare(s setup, log io.Writer) (*instance, error) {
	i := &instance{name: s.Name, log: slog.New(slog.NewTextHandler(log, nil)).With("replica", s.Name)}
	if err := i.prepare(s); err != nil {
		i.close()
		return nil, fmt.Errorf("replica %s: %w", s.Name, err)
	}
	return i, nil
}

func (i *instance) prepare(s setup) (err error) {
	if i.tls, err = backdialtest.LoadMutual(s.CA, s.Certificate, s.Key); err != nil {
		return err
	}
	if i.devices, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	if i.peers, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	url, options := "tls://"+s.Engine, []nats.Option{nats.Secure(i.tls)}
	if s.Engine == "" {
		if i.engine, err = embedded(s, i.tls, i.log); err != nil {
			return err
		}
		url, options = "", []nats.Option{nats.InProcessServer(i.engine)}
	}
	options = append(options, nats.PingInterval(beat))
	i.registry, err = natsregistry.Connect(url, natsregistry.Config{Options: options, Logger: i.log})
	return err
}

// addresses are where it listens.
func (i *instance) addresses() addresses {
	a := addresses{Clients: i.devices.Addr().String(), Peers: i.peers.Addr().String()}
	if i.engine != nil {
		a.Routes = i.engine.ClusterAddr().String()
	}
	return a
}

// start serves clients, and other replicas, which reach this one at url.
func (i *instance) start(url string, opts ...cluster.Option) (err error) {
	i.clients = fleet.New(fleet.ByHeader("DeviceId"))
	i.Cluster, err = cluster.New(i.clients, append([]cluster.Option{
		cluster.WithRegistry(i.registry),
		cluster.WithTLSConfig(i.tls),
		cluster.WithNode(i.name, url),
		cluster.WithLogger(i.log),
	}, opts...)...)
	if err != nil {
		return err
	}
	i.server = transport.NewServer(i.clients,
		transport.WithAuthorize(i.clients.Authorize),
		transport.WithKeepAlive(silence, silence),
		transport.WithLogger(i.log))
	i.serving.Go(func() { i.server.Serve(i.devices) })
	i.serving.Go(func() { i.Cluster.Serve(i.peers) })
	return nil
}

// service returns a cluster that only dials, in the process of a replica.
func (i *instance) service(opts ...cluster.Option) (*cluster.Cluster, error) {
	return cluster.New(nil, append([]cluster.Option{cluster.WithRegistry(i.registry), cluster.WithTLSConfig(i.tls)}, opts...)...)
}

// close ends it.
func (i *instance) close() {
	if i.server != nil {
		i.server.Close()
	}
	if i.Cluster != nil {
		i.Cluster.Close()
	}
	i.serving.Wait()
	for _, ln := range []net.Listener{i.devices, i.peers} {
		if ln != nil {
			ln.Close()
		}
	}
	if i.registry != nil {
		i.registry.Close()
	}
	if i.engine != nil {
		i.engine.Close()
	}
}
