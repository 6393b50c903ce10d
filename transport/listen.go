package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/belowtls"
	"github.com/backdial/backdial/internal/sockopt"
)

// listen makes an endpoint for each carrier that listens by itself, and one for all others, at
// the same address. If addr leaves the port open, it finds one that is free for all of them.
func (s *Server) listen(addr string, config *tls.Config) ([]carrier.Endpoint, error) {
	for range portAttempts - 1 {
		endpoints, err := s.listenOnce(addr, config)
		if !hasOpenPort(addr) || !errors.Is(err, syscall.EADDRINUSE) {
			return endpoints, err
		}
		// A port that is free for TCP may be in use for UDP.
	}
	return s.listenOnce(addr, config)
}

func (s *Server) listenOnce(addr string, config *tls.Config) (endpoints []carrier.Endpoint, err error) {
	defer func() {
		if err != nil {
			closeAll(endpoints)
			endpoints = nil
		}
	}()
	at := addr
	var advertised []carrier.Advertised
	add := func(e carrier.Endpoint) {
		endpoints = append(endpoints, e)
		at = withPortOf(at, e.Addr())
		if a, ok := e.(carrier.Advertised); ok {
			advertised = append(advertised, a)
		}
		if l, ok := e.(carrier.HandshakeLimiter); ok {
			l.LimitHandshakes(s.config.maxHandshakes, s.config.handshakeTimeout)
		}
	}

	var upgraded []string
	for _, c := range s.config.carriers {
		if _, ok := c.(carrier.Listener); !ok {
			upgraded = append(upgraded, c.Name())
		}
	}
	var shared *httpEndpoint
	if len(upgraded) > 0 {
		tcp := net.ListenConfig{KeepAliveConfig: sockopt.KeepAlive}
		ln, err := tcp.Listen(context.Background(), "tcp", addr)
		if err != nil {
			return endpoints, fmt.Errorf("transport: listen on %s for %s: %w", addr, strings.Join(upgraded, ", "), err)
		}
		if config != nil {
			ln = tls.NewListener(belowtls.NewListener(ln), withoutHTTP2(config))
		}
		shared = s.httpEndpoint(ln)
		add(shared)
	}
	for _, c := range s.config.carriers {
		l, ok := c.(carrier.Listener)
		if !ok {
			continue
		}
		e, err := l.Listen(at, config, s)
		if err != nil {
			return endpoints, fmt.Errorf("transport: listen on %s for %s: %w", at, c.Name(), err)
		}
		add(e)
	}
	if shared != nil && len(advertised) > 0 {
		shared.server.Handler = advertising{s, advertised}
	}
	return endpoints, nil
}

// withoutHTTP2 makes clients use HTTP/1.1, which an upgrade needs.
func withoutHTTP2(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	return config
}

// hasOpenPort reports whether addr is a host and port, and leaves the port open.
func hasOpenPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && (port == "" || port == "0")
}

// withPortOf returns addr with the port number of bound, if addr leaves the port open or names
// a service: such names differ between TCP and UDP.
func withPortOf(addr string, bound net.Addr) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr // only its carrier understands it
	}
	if number, err := strconv.Atoi(port); err == nil && number != 0 {
		return addr
	}
	switch a := bound.(type) {
	case *net.TCPAddr:
		return net.JoinHostPort(host, strconv.Itoa(a.Port))
	case *net.UDPAddr:
		return net.JoinHostPort(host, strconv.Itoa(a.Port))
	}
	return addr
}
