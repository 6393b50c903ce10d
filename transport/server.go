package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/redact"
)

// An EndpointHandler handles the clients of a [Server].
type EndpointHandler interface {
	// HandleEndpoint is called with the [Dialer] of each client that connects, in a goroutine
	// of its own. The client stays connected after it returns, until either side closes the
	// session. If it panics, the server closes the session and logs the panic, as net/http
	// does.
	HandleEndpoint(*Dialer)
}

// EndpointHandlerFunc adapts a function to an [EndpointHandler].
type EndpointHandlerFunc func(*Dialer)

// HandleEndpoint calls f.
func (f EndpointHandlerFunc) HandleEndpoint(d *Dialer) { f(d) }

// A Server lets clients connect, and hands out a [Dialer] for each. It is an [http.Handler]
// for any router, and can also listen by itself. The zero value with a Handler is ready to
// use. A Server must not be copied.
//
// A session lives until either side closes it. Close and Shutdown end all sessions, also those
// of a server that is mounted in a router. Shutdown of the [http.Server] around it does not.
type Server struct {
	// Addr is the address for ListenAndServe and ListenAndServeTLS. "" means ":80" and ":443".
	// Port 0 means a port that is free for all carriers.
	Addr string

	// Handler handles the clients.
	Handler EndpointHandler

	options config // as set by NewServer
	once    sync.Once
	config  config // options with defaults, set by once

	greetings map[string]string // see greetingsOf; set by once

	mu         sync.Mutex    // guards below
	closing    bool          // Close or Shutdown was called: no new clients
	refusing   chan struct{} // closed then
	handshakes int           // under way
	usage      map[source]usage
	dialers    map[*Dialer]struct{}
	endpoints  map[carrier.Endpoint]struct{}
	sessions   sync.WaitGroup // sessions until their end is announced, handshakes, and what holdSessions says
	handlers   sync.WaitGroup // calls of the user's functions with a client
}

// NewServer returns a server with options.
func NewServer(h EndpointHandler, opts ...ServerOption) *Server {
	s := &Server{Handler: h}
	for _, o := range opts {
		o.applyServer(&s.options)
	}
	return s
}

func (s *Server) init() {
	s.once.Do(func() {
		s.config = s.options.withDefaults()
		limits := s.limits()
		s.greetings = greetingsOf(s.config.muxes, &limits)
		s.dialers = make(map[*Dialer]struct{})
		s.usage = make(map[source]usage)
		s.endpoints = make(map[carrier.Endpoint]struct{})
		s.refusing = make(chan struct{})
	})
}

// handle runs one of the user's functions, in a goroutine that keeps nothing of the request
// alive.
func (s *Server) handle(d *Dialer, call func()) {
	defer s.handlers.Done()
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, d.session.label)
			d.Close()
		}
	}()
	call()
}

// panicked logs the panic of a user's function, except for [http.ErrAbortHandler], as net/http
// does. label adds the client that it was about.
func (s *Server) panicked(v any, label func(*slog.Logger) *slog.Logger) {
	if v != http.ErrAbortHandler {
		label(s.panicLogger()).Error("backdial: panic in a handler", "panic", redact.Text(fmt.Sprint(v)), "stack", string(debug.Stack()))
	}
}

// panicLogger returns the logger for panics, which are logged by default, as in net/http.
func (s *Server) panicLogger() *slog.Logger {
	if s.options.logger != nil {
		return s.options.logger
	}
	return slog.Default()
}

// add registers d and its handler, unless the server is closed.
func (s *Server) add(d *Dialer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.dialers[d] = struct{}{}
	s.useLocked(d.source, 0, 1)
	s.sessions.Add(1)
	s.handlers.Add(1)
	d.expiry = s.expireLater(d)
	return true
}

func (s *Server) remove(d *Dialer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dialers, d)
	s.useLocked(d.source, 0, -1)
	if d.expiry != nil {
		d.expiry.Stop()
	}
	s.sessions.Done()
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// acceptFrom accepts the connections that the client of d opens, if the user handles them.
func (s *Server) acceptFrom(d *Dialer) {
	if s.config.acceptFromClient == nil || !s.holdHandlers() {
		return
	}
	go func() { // ends with the session
		defer s.handlers.Done()
		for {
			st, err := d.session.mux.Accept(context.Background())
			if err != nil {
				return
			}
			conn := d.session.conn(st)
			s.handlers.Add(1)
			go s.handle(d, func() { s.config.acceptFromClient(d, conn) })
		}
	}()
}

// holdHandlers makes Shutdown wait for handlers.Done, and reports false if Shutdown may have
// begun to wait.
func (s *Server) holdHandlers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.handlers.Add(1)
	}
	return !s.closing
}
