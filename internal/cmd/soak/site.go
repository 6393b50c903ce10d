package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/transport"
)

// A site is where clients find a server, whichever server that is at the time. It has one
// port for HTTP, and one for HTTPS and QUIC, which never change.
type site struct {
	next          func() *transport.Server
	quic          carrier.Listener // or nil
	tls           *tls.Config
	plain, secure string // addresses

	current   atomic.Pointer[transport.Server]
	endpoints []carrier.Endpoint
	serving   sync.WaitGroup
}

// A site's ports are below those that systems assign to clients, which would take them
// while nothing listens.
const (
	firstPort, lastPort = 20000, 30000
	portAttempts        = 20
)

// open finds ports for the site, and starts a server there.
func (s *site) open() (err error) {
	for range portAttempts {
		port := firstPort + rand.N(lastPort-firstPort)
		s.plain, s.secure = fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1)
		if err = s.listen(); err == nil {
			s.start()
			return nil
		}
	}
	return err
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.current.Load().ServeHTTP(w, r) }

// addr is the address of the site for clients of a stack.
func (s *site) addr(of *stack) string {
	if of.secure {
		return s.secure
	}
	return s.plain
}

// listen opens the ports.
func (s *site) listen() (err error) {
	defer func() {
		if err != nil {
			s.stopListening()
		}
	}()
	plain, err := net.Listen("tcp", s.plain)
	if err != nil {
		return err
	}
	s.endpoints = append(s.endpoints, newHTTPEndpoint(s, plain))
	secure, err := net.Listen("tcp", s.secure)
	if err != nil {
		return err
	}
	upgradable := s.tls.Clone()
	upgradable.NextProtos = []string{"http/1.1"}
	s.endpoints = append(s.endpoints, newHTTPEndpoint(s, tls.NewListener(secure, upgradable)))
	if s.quic == nil {
		return nil
	}
	quic, err := s.quic.Listen(s.secure, s.tls, s)
	if err != nil {
		return err
	}
	s.endpoints = append(s.endpoints, quic)
	return nil
}

// start starts a new server, and lets clients connect.
func (s *site) start() {
	s.current.Store(s.next())
	for _, e := range s.endpoints {
		s.serving.Go(func() { e.Serve() })
	}
}

func (s *site) stopListening() {
	for _, e := range s.endpoints {
		e.Close()
	}
	s.endpoints = nil
}

// deploy starts the next server. It returns when the previous one has shut down.
func (s *site) deploy(ctx context.Context) error {
	return s.current.Swap(s.next()).Shutdown(ctx)
}

// crash closes the server and the ports: nothing listens.
func (s *site) crash() {
	s.stopListening()
	s.current.Load().Close()
	s.serving.Wait()
}

// letGo bounds how long a port stays in use after crash. Closed QUIC connections keep it
// until they have told their clients.
const letGo = 20 * time.Second

// restart starts a new server after crash.
func (s *site) restart() error {
	for deadline := time.Now().Add(letGo); ; time.Sleep(10 * time.Millisecond) {
		err := s.listen()
		if err == nil {
			s.start()
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return fmt.Errorf("restart the server: %w", err)
		}
	}
}

// An httpEndpoint accepts clients whose connections are upgraded.
type httpEndpoint struct {
	http.Server
	ln net.Listener
}

func newHTTPEndpoint(h http.Handler, ln net.Listener) *httpEndpoint {
	return &httpEndpoint{http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // it would report handshakes that are cut off
	}, ln}
}

func (e *httpEndpoint) Serve() error   { return e.Server.Serve(e.ln) }
func (e *httpEndpoint) Addr() net.Addr { return e.ln.Addr() }

// Close also closes the listener, which the server does not know before Serve.
func (e *httpEndpoint) Close() error { return errors.Join(e.ln.Close(), e.Server.Close()) }
