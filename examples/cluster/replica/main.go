// Replica is a server of a cluster. Devices connect to any replica, at /connect, and each
// replica serves the pages of all devices, at /devices/ID/. Replicas tell each other by
// NATS where devices are connected. It can be embedded:
//
//	replica -name replica-1 -listen :8080 -peers :7443 -url https://10.0.0.1:7443 \
//		-ca ca.pem -cert replica-1.pem -key replica-1-key.pem \
//		-routes :6222 -join 10.0.0.1:6222,10.0.0.2:6222
//
// or separate, with -nats tls://nats.example:4222 instead of the last line.
//
// Put a load balancer with TLS before -listen. It asks /healthz which replicas to use.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

func main() {
	c := parseFlags()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("self", c.name)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the program at once
	if err := run(ctx, c, log); err != nil {
		log.Error("failed", "err", err)
		os.Exit(1)
	}
}

// run runs a replica until ctx ends and its devices and requests are with other replicas.
func run(ctx context.Context, c config, log *slog.Logger) error {
	if err := fleet.CheckID(c.name); err != nil {
		return fmt.Errorf("-name: %w", err)
	}
	trust, err := loadTLS(c)
	if err != nil {
		return err
	}
	registry, disconnect, err := connect(c, trust, log)
	if err != nil {
		return err
	}
	defer disconnect()

	// The devices connected to this process. Any value of the header is accepted here:
	// replace it by proof of who they are.
	devices := fleet.New(fleet.ByHeader("DeviceId"))
	server := transport.NewServer(devices, transport.WithAuthorize(devices.Authorize),
		transport.WithServerID(c.name), transport.WithDrainSpread(c.spread), transport.WithLogger(log))
	defer server.Close()

	// The devices of all replicas. A request waits up to half a minute for a device that
	// moves between them. A replica that hangs is given up after 2 s.
	all, err := cluster.New(devices, cluster.WithRegistry(registry), cluster.WithTLSConfig(trust),
		cluster.WithNode(c.name, c.url), cluster.WithWaitForClient(), cluster.WithLogger(log),
		cluster.WithTransport(transport.WithKeepAlive(time.Second, time.Second)))
	if err != nil {
		return err
	}
	defer all.Close()

	var joined, draining atomic.Bool
	pages := http.NewServeMux()
	pages.Handle("/connect", server)
	pages.Handle("/devices/", http.StripPrefix("/devices", &fleet.ReverseProxy{Transport: all.Transport(), Logger: log}))
	pages.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if registry.Connected() {
			joined.Store(true) // even if NATS is away later, its own devices can be reached
		}
		if draining.Load() || !joined.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	web := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Replica", c.name)
		pages.ServeHTTP(w, r)
	})}
	defer web.Close()

	peers, err := net.Listen("tcp", c.peers)
	if err != nil {
		return err
	}
	defer peers.Close()
	users, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	defer users.Close()
	failed := make(chan error, 2)
	go func() { failed <- all.Serve(peers) }()
	go func() { failed <- web.Serve(users) }()
	log.Info("serving", "listen", users.Addr(), "peers", peers.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}

	// First the load balancer stops sending requests here. Then the devices move to other
	// replicas. Then users and other replicas finish what they have begun.
	log.Info("draining")
	draining.Store(true)
	time.Sleep(c.notice)
	limit, cancel := context.WithTimeout(context.Background(), c.drain)
	defer cancel()
	if err := errors.Join(server.Shutdown(limit), web.Shutdown(limit), all.Shutdown(limit)); err != nil {
		return fmt.Errorf("something was cut: %w", err)
	}
	log.Info("drained")
	return nil
}
