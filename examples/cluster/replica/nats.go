package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster/natsregistry"
	"github.com/backdial/backdial/cluster/natsserver"
)

// connect returns the registry of the cluster, on existing NATS servers or on one in this
// process. Call disconnect when the registry is no longer used.
func connect(c config, trust *tls.Config, log *slog.Logger) (_ *natsregistry.Registry, disconnect func(), err error) {
	if c.nats != "" {
		options, err := external(c, trust)
		if err != nil {
			return nil, nil, err
		}
		r, err := natsregistry.Connect(c.nats, natsregistry.Config{Options: options, Logger: log})
		if err != nil {
			return nil, nil, err
		}
		return r, func() { r.Close() }, nil
	}
	server, err := embedded(c, trust, log)
	if err != nil {
		return nil, nil, err
	}
	r, err := natsregistry.Connect("", natsregistry.Config{Options: []nats.Option{nats.InProcessServer(server)}, Logger: log})
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	return r, func() { r.Close(); server.Close() }, nil
}

// embedded starts a NATS server that joins those of the other replicas.
func embedded(c config, trust *tls.Config, log *slog.Logger) (*natsserver.Server, error) {
	self, err := url.Parse(c.url)
	if err != nil {
		return nil, fmt.Errorf("-url: %w", err)
	}
	_, port, err := net.SplitHostPort(c.routes)
	if err != nil {
		return nil, fmt.Errorf("-routes: %w", err)
	}
	return natsserver.Start(natsserver.Config{
		Name:        c.name,
		ClusterAddr: c.routes,
		Advertise:   net.JoinHostPort(self.Hostname(), port),
		Join:        split(c.join),
		TLS:         trust,
		Logger:      log,
	})
}

// external returns the options with which this replica and NATS servers authenticate each
// other.
func external(c config, trust *tls.Config) ([]nats.Option, error) {
	config := &tls.Config{RootCAs: trust.RootCAs}
	if c.natsCA != "" {
		var err error
		if config.RootCAs, err = loadRoots(c.natsCA); err != nil {
			return nil, fmt.Errorf("the authority of NATS servers (-nats-ca): %w", err)
		}
	}
	options := []nats.Option{nats.Name(c.name), nats.Secure(config)}
	if c.creds != "" {
		return append(options, nats.UserCredentials(c.creds)), nil
	}
	config.Certificates = trust.Certificates
	return options, nil
}

// split returns the elements of a list, which may be empty.
func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}
