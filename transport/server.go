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

// An EndpointHandler gets the clients of a [Server].
type EndpointHandler interface {
	// HandleEndpoint is called with the [Dialer] of each client that
	// connects, in a goroutine of its own. The client stays connected when it
	// returns, until either side closes the session. If it panics, the session
	// is closed and the panic logged, as net/http does.
	HandleEndpoint(*Dialer)
}

// EndpointHandlerFunc makes an [EndpointHandler] of a function.
type EndpointHandlerFunc func(*Dialer)

// HandleEndpoint calls f.
func (f EndpointHandlerFunc) HandleEndpoint(d *Dialer) { f(d) }

// A Server lets clients connect and hands out a [Dialer] for each. It is an
// [http.Handler], to be mounted in any router, and can also listen by itself.
// The zero value with a Handler is ready to use. It must not be copied.
//
// Sessions live until either side closes them. Close and Shutdown end those
// that are left, also of a server that is mounted somewhere; shutting down the
// [http.Server] around it does not.
type Server struct {
	// Addr is what ListenAndServe and ListenAndServeTLS listen on. "" means
	// ":80" and ":443". Port 0 means one that is free for all carriers.
	Addr string

	// Handler gets the clients.
	Handler EndpointHandler

	options config // as set by NewServer
	once    sync.Once
	config  config // options with the defaults, after once

	mu         sync.Mutex    // guards below
	closing    bool          // Close or Shutdown was called: no new clients
	refusing   chan struct{} // closed then
	handshakes int           // that are under way
	usage      map[source]usage
	dialers    map[*Dialer]struct{}
	endpoints  map[carrier.Endpoint]struct{}
	sessions   sync.WaitGroup // until their end has been announced; and handshakes, and expire
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
		s.dialers = make(map[*Dialer]struct{})
		s.usage = make(map[source]usage)
		s.endpoints = make(map[carrier.Endpoint]struct{})
		s.refusing = make(chan struct{})
	})
}

// handle runs one of the user's functions. Its goroutine is the function's own:
// nothing of the request is kept alive by it.
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

// panicked logs what a function of the user panicked with, but for what net/http
// does not log either. label says whose client it was about.
func (s *Server) panicked(v any, label func(*slog.Logger) *slog.Logger) {
	if v != http.ErrAbortHandler {
		label(s.panicLogger()).Error("backdial: panic in a handler", "panic", redact.Text(fmt.Sprint(v)), "stack", string(debug.Stack()))
	}
}

// panicLogger is not silent by default, no more than net/http is.
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

// acceptFrom has the connections that the client of d opens handled, if anybody
// wants them.
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

// holdHandlers makes Shutdown wait for handlers.Done, unless it may not wait any more.
func (s *Server) holdHandlers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.handlers.Add(1)
	}
	return !s.closing
}
