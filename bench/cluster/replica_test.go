package cluster_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
	"github.com/backdial/backdial/cluster/natsserver"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

const anywhere = "127.0.0.1:0"

// A setup is the configuration of a replica.
type setup struct {
	Name                 string
	CA, Certificate, Key string   // files
	Join                 []string // where the engines of other replicas are joined
}

// Addresses are where a replica listens: for clients, for those with TLS, for other
// replicas, and for their engines.
type addresses struct{ Clients, TLSClients, Replicas, Routes string }

// A replica has a server for clients, one for other replicas, and an engine.
type replica struct {
	*cluster.Cluster
	at       addresses
	tls      *tls.Config
	engine   *natsserver.Server
	registry *natsregistry.Registry
	clients  *fleet.Fleet
	server   *transport.Server
	serving  sync.WaitGroup
}

// startReplica starts a replica, in this process or a child. The caller closes it.
func startReplica(s setup) (*replica, error) {
	r := new(replica)
	if err := r.start(s); err != nil {
		r.close()
		return nil, fmt.Errorf("replica %s: %w", s.Name, err)
	}
	return r, nil
}

func (r *replica) start(s setup) (err error) {
	if r.tls, err = backdialtest.LoadMutual(s.CA, s.Certificate, s.Key); err != nil {
		return err
	}
	r.engine, err = natsserver.Start(natsserver.Config{Name: s.Name, ClusterAddr: anywhere, TLS: r.tls, Join: s.Join})
	if err != nil {
		return err
	}
	r.at.Routes = r.engine.ClusterAddr().String()
	r.registry, err = natsregistry.Connect("", natsregistry.Config{
		Options: []nats.Option{nats.InProcessServer(r.engine)},
	})
	if err != nil {
		return err
	}
	r.clients = fleet.New(fleet.ByHeader("DeviceId"))
	r.server = transport.NewServer(r.clients,
		transport.WithAuthorize(r.clients.Authorize), transport.WithServerID(s.Name))
	clients, err := net.Listen("tcp", anywhere)
	if err != nil {
		return err
	}
	r.at.Clients = clients.Addr().String()
	r.serving.Go(func() { r.server.Serve(clients) })
	tlsClients, err := tls.Listen("tcp", anywhere, &tls.Config{Certificates: r.tls.Certificates})
	if err != nil {
		return err
	}
	r.at.TLSClients = tlsClients.Addr().String()
	r.serving.Go(func() { r.server.Serve(tlsClients) })
	replicas, err := net.Listen("tcp", anywhere)
	if err != nil {
		return err
	}
	r.at.Replicas = replicas.Addr().String()
	r.Cluster, err = cluster.New(r.clients, cluster.WithRegistry(r.registry),
		cluster.WithTLSConfig(r.tls), cluster.WithNode(s.Name, "https://"+r.at.Replicas))
	if err != nil {
		replicas.Close()
		return err
	}
	r.serving.Go(func() { r.Serve(replicas) })
	return nil
}

// service returns a member that only dials, finds clients as r does, and has no sessions
// yet. The caller closes it.
func (r *replica) service(opts ...cluster.Option) (*cluster.Cluster, error) {
	return cluster.New(nil, append(opts, cluster.WithRegistry(r.registry), cluster.WithTLSConfig(r.tls))...)
}

func (r *replica) close() {
	if r.server != nil {
		r.server.Close()
	}
	if r.Cluster != nil {
		r.Cluster.Close()
	}
	r.serving.Wait()
	if r.registry != nil {
		r.registry.Close()
	}
	if r.engine != nil {
		r.engine.Close()
	}
}
