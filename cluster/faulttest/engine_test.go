package faulttest

import (
	"crypto/tls"
	"errors"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/backdial/backdial/cluster/natsserver"
)

// nowhere is the address that engines announce, so that they do not find each other by
// themselves. An engine knows only the engines that it was told to join, through a network
// that a test can cut.
const nowhere = "127.0.0.1:9"

// embedded starts the engine of a replica.
func embedded(s setup, config *tls.Config, log *slog.Logger) (*natsserver.Server, error) {
	return natsserver.Start(natsserver.Config{
		Name: s.Name, ClusterAddr: "127.0.0.1:0", Advertise: nowhere, Join: s.Join,
		TLS: config, Logger: log,
		Configure: func(o *server.Options) { o.PingInterval, o.Cluster.PingInterval = beat, beat },
	})
}

// apart starts an engine outside of all replicas, at a port.
func apart(port int, config *tls.Config) (*server.Server, error) {
	e, err := server.NewServer(&server.Options{
		ServerName: "engine", Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true,
		TLS: true, TLSVerify: true, TLSConfig: config, TLSTimeout: 5,
		PingInterval: beat, MaxPingsOut: 2,
	})
	if err != nil {
		return nil, err
	}
	e.Start()
	if !e.ReadyForConnections(patience) {
		stopEngine(e)
		return nil, errors.New("the engine does not start")
	}
	return e, nil
}

func stopEngine(e *server.Server) {
	e.Shutdown()
	e.WaitForShutdown()
}
