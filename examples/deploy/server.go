package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

const (
	// settle is how long requests under way may take to reach their device, and new
	// connections of users to send one. Devices stay that long.
	settle = 500 * time.Millisecond

	// finish is how long everything under way may take when the server ends. It is less
	// than the defaults of systemd, 90 s, and Kubernetes, 30 s.
	finish = 25 * time.Second

	// patience is how long a user waits for a device that is not connected.
	patience = 30 * time.Second
)

// A server is the program to deploy. Devices connect to it, and users reach them through
// it, at one address.
type server struct {
	ln      net.Listener
	web     *http.Server
	devices *transport.Server
	clients *fleet.Fleet
	proxy   *fleet.ReverseProxy

	listening context.Context // ended by leave
	leave     context.CancelFunc
}

func newServer(ln net.Listener) *server {
	clients := fleet.New(fleet.ByHeader("DeviceId"), fleet.WithWaitForClient()) // for those on their way
	s := &server{
		ln:      ln,
		devices: transport.NewServer(clients, transport.WithAuthorize(clients.Authorize)),
		clients: clients,
		proxy:   &fleet.ReverseProxy{Fleet: clients},
	}
	s.listening, s.leave = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/connect", s.devices)
	mux.Handle("/devices/{id}/", http.StripPrefix("/devices", http.HandlerFunc(s.ask)))
	mux.HandleFunc("/pid", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getpid()) })
	s.web = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return s
}

// ask passes a user's request to a device. A user who comes too late, or waits for a
// device that will not come back here, is redirected to the next server, which has the
// same address.
func (s *server) ask(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	defer context.AfterFunc(s.listening, cancel)()
	late := s.listening.Err() != nil
	_, err := s.clients.Wait(ctx, r.PathValue("id"))
	switch {
	case late || err != nil && s.listening.Err() != nil:
		http.Redirect(w, r, r.RequestURI, http.StatusTemporaryRedirect)
	case errors.Is(err, context.DeadlineExceeded):
		http.Error(w, "the device is not connected", http.StatusServiceUnavailable)
	default:
		s.proxy.ServeHTTP(w, r)
	}
}

// serve runs a server until it is stopped, or the next one has taken over.
func serve(addr string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ln, err := listen(addr)
	if err != nil {
		return err
	}
	s := newServer(ln)
	served := make(chan error, 1)
	go func() { served <- s.web.Serve(ln) }()
	tellReady()
	for {
		select {
		case err := <-served:
			return err
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return s.stop()
			}
			if err := startNext(ln); err != nil {
				log.Print("deploy: still here, because the next server is not: ", err)
				continue
			}
			return s.handOver()
		}
	}
}

// handOver ends a server when the next one listens already.
func (s *server) handOver() error {
	ctx, cancel := context.WithTimeout(context.Background(), finish)
	defer cancel()
	s.stopListening()              // new clients connect to the next server
	err := s.devices.Shutdown(ctx) // devices move there, and running requests finish here
	return errors.Join(err, s.web.Shutdown(ctx))
}

// stop ends a server before the next one starts. systemd does that, and holds the socket
// meanwhile.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), finish)
	defer cancel()
	s.stopListening()
	err := s.web.Shutdown(ctx) // requests under way finish
	s.devices.Close()          // not Shutdown: devices have nowhere to move yet
	return err
}

// stopListening accepts no more connections, and waits for the requests on new ones.
// http.Server.Shutdown alone would leave the first request of a new connection without an
// answer.
func (s *server) stopListening() {
	s.ln.Close()
	s.leave()
	s.web.SetKeepAlivesEnabled(false) // users reconnect, to the next server
	time.Sleep(settle)
}
