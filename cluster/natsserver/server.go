package natsserver

import (
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// readyTimeout bounds how long it takes a server to listen.
	readyTimeout = 10 * time.Second

	// readyPoll is how often one looks.
	readyPoll = time.Millisecond

	// cannotListen is what a server says that does not listen for clients.
	cannotListen = "Error listening on port"
)

// A Server runs until Close.
type Server struct {
	nats *server.Server
}

// Start runs a server. It does not wait for those of Join. JetStream, monitoring, signals
// and all that is not named in [Config] are off.
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

// ready waits until the server listens for those that it should listen for.
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

// InProcessConn returns a connection to the server, as [nats.InProcessServer] has it.
//
// [nats.InProcessServer]: https://pkg.go.dev/github.com/nats-io/nats.go#InProcessServer
func (s *Server) InProcessConn() (net.Conn, error) {
	c, err := s.nats.InProcessConn()
	if err != nil {
		return nil, fmt.Errorf("natsserver: %w", err)
	}
	return c, nil
}

// Routes is to how many other servers this one is connected.
func (s *Server) Routes() int { return s.nats.NumRoutes() }

// Subscriptions is how many the server knows of, its own and those of other servers: one
// for each client of a replica, and a few for each replica.
func (s *Server) Subscriptions() int { return int(s.nats.NumSubscriptions()) }

// ClusterAddr is where other servers reach this one, or nil.
func (s *Server) ClusterAddr() net.Addr {
	if addr := s.nats.ClusterAddr(); addr != nil {
		return addr
	}
	return nil
}

// ClientAddr is where services reach this server, or nil.
func (s *Server) ClientAddr() net.Addr { return s.nats.Addr() }

// Close ends all connections, and waits for all that runs. It may be repeated.
func (s *Server) Close() error {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	return nil
}
