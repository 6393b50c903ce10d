package natsserver

import (
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// readyTimeout limits the time until a server listens.
	readyTimeout = 10 * time.Second

	// readyPoll is how often to check that.
	readyPoll = time.Millisecond

	// cannotListen begins the message of a server that does not listen for clients.
	cannotListen = "Error listening on port"
)

// A Server runs until Close.
type Server struct {
	nats *server.Server
}

// Start runs a server. It does not wait for the servers in Join. JetStream, monitoring,
// signals and everything that [Config] does not name are off.
func Start(config Config) (*Server, error) {
	s, err := start(config)
	if err != nil {
		return nil, fmt.Errorf("natsserver: start %q: %w", config.Name, err)
	}
	return s, nil
}

func start(config Config) (*Server, error) {
	options, err := config.options()
	if err != nil {
		return nil, err
	}
	nats, err := server.NewServer(options)
	if err != nil {
		return nil, err
	}
	clients, routes := !options.DontListen && options.Port != nowhere, options.Cluster.Port != 0
	log := newLogger(config.Logger, config.Name)
	if !clients {
		log.expects = cannotListen
	}
	nats.SetLoggerV2(log, false, false, false)
	s := &Server{nats}
	nats.Start()
	if err := s.ready(log.fatal, clients, routes); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// ready waits until the server listens for clients and routes.
func (s *Server) ready(fatal <-chan error, clients, routes bool) error {
	timeout := time.NewTimer(readyTimeout)
	defer timeout.Stop()
	for clients && s.ClientAddr() == nil || routes && s.ClusterAddr() == nil {
		select {
		case err := <-fatal:
			return err
		case <-timeout.C:
			return fmt.Errorf("not listening after %v", readyTimeout)
		case <-time.After(readyPoll):
		}
	}
	return nil
}

// InProcessConn returns a connection to the server, for [nats.InProcessServer].
//
// [nats.InProcessServer]: https://pkg.go.dev/github.com/nats-io/nats.go#InProcessServer
func (s *Server) InProcessConn() (net.Conn, error) {
	c, err := s.nats.InProcessConn()
	if err != nil {
		return nil, fmt.Errorf("natsserver: %w", err)
	}
	return c, nil
}

// Routes returns how many other servers this one is connected to.
func (s *Server) Routes() int { return s.nats.NumRoutes() }

// Subscriptions returns how many subscriptions the server knows, including those of other
// servers: one for each client of a replica, and a few for each replica.
func (s *Server) Subscriptions() int { return int(s.nats.NumSubscriptions()) }

// ClusterAddr returns where other servers reach this one, or nil.
func (s *Server) ClusterAddr() net.Addr {
	if addr := s.nats.ClusterAddr(); addr != nil {
		return addr
	}
	return nil
}

// ClientAddr returns where services reach this server, or nil.
func (s *Server) ClientAddr() net.Addr { return s.nats.Addr() }

// Close ends all connections, and waits for all goroutines. It may be repeated.
func (s *Server) Close() error {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	return nil
}
