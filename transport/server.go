package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
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

// ServeHTTP makes a session of a request by one of the server's carriers, and
// has the Handler called. Other requests are answered with the status that
// says what is wrong with them.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	r = r.WithContext(withClient(r.Context()))
	d, err := s.handshake(w, r)
	if err != nil {
		s.failed(r, err)
		return
	}
	if s.config.serverID != "" {
		d.session.say(controlMessage{kind: controlServer, text: s.config.serverID}) // as far as it can be told
	}
	handling := false
	defer func() {
		if !handling { // a trace function panics
			s.handlers.Done()
			d.Close()
		}
	}()
	d.session.begin(d.hear, func() { s.remove(d) })
	handling = true
	go s.handle(d, func() { s.Handler.HandleEndpoint(d) })
	s.acceptFrom(d)
}

// failed announces that r did not lead to a session.
func (s *Server) failed(r *http.Request, err error) {
	level := slog.LevelWarn
	if errors.Is(err, ErrAlreadyConnected) || errors.Is(err, ErrServerClosed) { // as it has to be, and again and again
		level = slog.LevelDebug
	}
	err = redact.Error(err) // as authorize may have repeated what the client says
	log := clientOf(r.Context()).label(s.config.logger).With("remote", redact.Text(r.RemoteAddr))
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok {
		log = log.With("status", rejected.StatusCode)
	}
	log.Log(r.Context(), level, "backdial: handshake failed", "err", err)
	if s.config.trace.HandshakeFailed != nil {
		s.config.trace.HandshakeFailed(r, err)
	}
}

// accept makes a session of r. If it fails, it has answered.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, from source) (*Dialer, error) {
	if s.Handler == nil {
		return nil, refuse(w, http.StatusInternalServerError, fmt.Errorf("transport: Server.Handler is nil"))
	}
	by, offered := s.carrierOf(r)
	if by == nil {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		return nil, refuse(w, http.StatusUpgradeRequired,
			fmt.Errorf("transport: %s %s is %w (%s)",
				redact.Text(r.Method), redact.Quote(r.URL.Path), ErrNotHandshake, s.carrierNames()))
	}
	if s.config.serverID != "" && isConnected(r, s.config.serverID) {
		return nil, refuse(w, http.StatusMisdirectedRequest, fmt.Errorf("transport: %w", ErrAlreadyConnected))
	}
	r, err := s.admit(r, from)
	if err != nil {
		return nil, answer(w, err)
	}
	m, protocol, err := s.config.choose(by, offered)
	if err != nil {
		return nil, refuse(w, http.StatusBadRequest, fmt.Errorf("transport: %w", err))
	}
	conn, err := by.Upgrade(w, r, protocol)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	var d *Dialer
	limits := s.limits()
	limits.OnExhausting = func() { s.exhausting(d) } // because of what d has dialled
	session, err := startSession(&s.config, by, conn, m, m.DialSide, limits)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	session.client = clientOf(r.Context())
	d = newDialer(r, from, session)
	return d, nil
}

// refuse answers a request with what is wrong, and returns it.
func refuse(w http.ResponseWriter, status int, err error) error {
	http.Error(w, strings.TrimPrefix(err.Error(), "transport: "), status)
	return &refusal{carrier.RejectedError{StatusCode: status}, err}
}

// limits are those of a session on this side.
func (s *Server) limits() mux.Config {
	c := s.config.session
	if s.config.acceptFromClient == nil {
		c.MaxStreams = -1 // nobody would accept them
	} else if c.MaxStreams == 0 {
		c.MaxStreams = defaultMaxStreamsOfClient
	}
	return c
}

func (s *Server) carrierOf(r *http.Request) (by carrier.Carrier, offered []string) {
	for _, c := range s.config.carriers {
		if offered, ok := c.Offer(r); ok {
			return c, offered
		}
	}
	return nil, nil
}

func (s *Server) carrierNames() string {
	var names []string
	for _, c := range s.config.carriers {
		names = append(names, c.Name())
	}
	return strings.Join(names, ", ")
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
