package transport

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/backdial/backdial/carrier"
)

// ErrServerClosed is the error of the methods of a [Server] that serve, after Close or
// Shutdown. It matches [http.ErrServerClosed] and [net.ErrClosed].
var ErrServerClosed error = serverClosedError{}

type serverClosedError struct{}

func (serverClosedError) Error() string { return "transport: server closed" }

func (serverClosedError) Is(target error) bool {
	return target == http.ErrServerClosed || target == net.ErrClosed
}

// ListenAndServe listens on addr, lets clients connect, and calls h with each. It always
// returns a non-nil error.
func ListenAndServe(addr string, h EndpointHandler, opts ...ServerOption) error {
	s := NewServer(h, opts...)
	s.Addr = addr
	return s.ListenAndServe()
}

// ListenAndServeTLS is [ListenAndServe] with TLS. certFile and keyFile name the files of the
// certificate chain and its key. They may be "" if [WithTLSConfig] has certificates.
func ListenAndServeTLS(addr, certFile, keyFile string, h EndpointHandler, opts ...ServerOption) error {
	s := NewServer(h, opts...)
	s.Addr = addr
	return s.ListenAndServeTLS(certFile, keyFile)
}

// ListenAndServe listens on s.Addr and lets clients connect until Close or Shutdown. It always
// returns a non-nil error, which is [ErrServerClosed] after these.
//
// It serves all carriers at this address. A carrier that listens by itself, on a UDP port for
// instance, uses the same port number as the TCP port of the others. The answers on the TCP
// port name it in an Alt-Svc header if clients can find it that way.
func (s *Server) ListenAndServe() error {
	s.init()
	if s.config.tls != nil {
		return errors.New("transport: a server with WithTLSConfig does not listen without TLS: use ListenAndServeTLS")
	}
	return s.listenAndServe(":80", nil)
}

// ListenAndServeTLS is ListenAndServe with TLS. certFile and keyFile name the files of the
// certificate chain and its key. They may be "" if [WithTLSConfig] has certificates.
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	s.init()
	config := &tls.Config{}
	if s.config.tls != nil {
		config = s.config.tls.Clone()
	}
	if certFile != "" || keyFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("transport: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return errors.New("transport: no certificate: name its files, or use WithTLSConfig")
	}
	return s.listenAndServe(":443", config)
}

// Serve lets clients connect through ln until Close or Shutdown, and closes ln. It always
// returns a non-nil error, which is [ErrServerClosed] after these. It does not serve carriers
// that listen by themselves. For TLS, ln is a listener of crypto/tls; on ws.BelowTLS it costs
// less.
func (s *Server) Serve(ln net.Listener) error {
	s.init()
	return s.serve(s.httpEndpoint(ln))
}

func (s *Server) listenAndServe(defaultAddr string, config *tls.Config) error {
	if s.isClosing() {
		return ErrServerClosed
	}
	endpoints, err := s.listen(cmp.Or(s.Addr, defaultAddr), config)
	if err != nil {
		return err
	}
	return s.serve(endpoints...)
}

// serve runs endpoints until the server is closed or one of them fails.
func (s *Server) serve(endpoints ...carrier.Endpoint) error {
	defer closeAll(endpoints)
	if s.Handler == nil {
		return errors.New("transport: Server.Handler is nil")
	}
	defer s.untrack(endpoints)
	if !s.track(endpoints) {
		return ErrServerClosed
	}
	failed := make(chan error, len(endpoints))
	for _, e := range endpoints {
		go func() { failed <- e.Serve() }()
	}
	err := <-failed
	closeAll(endpoints)
	for range len(endpoints) - 1 {
		<-failed
	}
	if s.isClosing() {
		return ErrServerClosed
	}
	return fmt.Errorf("transport: %w", err)
}

func closeAll[C io.Closer](closers []C) {
	for _, c := range closers {
		c.Close()
	}
}

func (s *Server) track(endpoints []carrier.Endpoint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range endpoints {
		s.endpoints[e] = struct{}{}
	}
	return !s.closing
}

func (s *Server) untrack(endpoints []carrier.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range endpoints {
		delete(s.endpoints, e)
	}
}
