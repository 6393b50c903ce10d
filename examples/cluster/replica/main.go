// Replica is one of the servers of a cluster. Devices connect to any of them, at
// /connect, and each serves the pages of all devices, at /devices/ID/. Where a device is
// connected they tell each other by NATS, which is embedded:
//
//	replica -name replica-1 -listen :8080 -peers :7443 -url https://10.0.0.1:7443 \
//		-ca ca.pem -cert replica-1.pem -key replica-1-key.pem \
//		-routes :6222 -join 10.0.0.1:6222,10.0.0.2:6222
//
// or apart, with -nats tls://nats.example:4222 in place of the last line.
//
// Put a load balancer that speaks TLS in front of -listen. It asks /healthz which
// replicas to use.
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

// run is a replica, until ctx ends and all that it had is with others.
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

	// The devices that connect to this process. Their header is believed: replace it by
	// what proves who they are.
	devices := fleet.New(fleet.ByHeader("DeviceId"))
	server := transport.NewServer(devices, transport.WithAuthorize(devices.Authorize),
		transport.WithServerID(c.name), transport.WithDrainSpread(c.spread), transport.WithLogger(log))
	defer server.Close()

	// The devices of all replicas. A request waits for one that is on its way from one
	// to another, for half a minute at most. A replica that hangs is given up after 2 s.
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
			joined.Store(true) // and if it is away later, its own devices can be reached all the same
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

	// First the load balancer leads nobody here any more; then the devices move to other
	// replicas; then users and other replicas have what they have begun.
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
