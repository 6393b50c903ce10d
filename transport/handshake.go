package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
)

// ErrServerFull means that the server refused a client because it has as many clients or
// handshakes as it allows. The error that [Trace.HandshakeFailed] gets matches it.
var ErrServerFull = errors.New("server is full")

// ErrNotHandshake means that a request, such as that of a browser, a probe or a scanner, did
// not ask for a connection of one of the server's carriers. The error that
// [Trace.HandshakeFailed] gets matches it.
var ErrNotHandshake = errors.New("not a handshake for this server's carriers")

// ServeHTTP upgrades a request of one of the server's carriers to a session, and calls the
// Handler with its [Dialer]. It answers any other request with a status that names the
// problem.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	r = r.WithContext(withClient(r.Context()))
	d, err := s.handshake(w, r)
	if refused, ok := err.(*refusal); ok {
		if r.ProtoMajor == 1 && !errors.Is(err, ErrNotHandshake) {
			// The client has no other use for the connection. Its next attempt may have to
			// reach another server, and strangers must not collect connections here.
			w.Header().Set("Connection", "close")
		}
		refused.answer(w)
	}
	if err != nil {
		s.handshakeFailed(r, err)
		return
	}
	s.serveClient(d)
}

// handshake makes a registered session of r. Its error is a *refusal unless r has been
// answered already.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) (*Dialer, error) {
	if err := checkHeader(r); err != nil {
		return nil, err
	}
	from := s.config.address.sourceOf(r)
	if err := s.beginHandshake(from); err != nil {
		return nil, err
	}
	defer s.endHandshake(from) // also if a function of the user panics
	if s.Handler == nil {
		return nil, refuse(http.StatusInternalServerError, fmt.Errorf("transport: Server.Handler is nil"))
	}
	by, offered := s.carrierOf(r)
	if by == nil {
		return nil, s.refuseOther(r)
	}
	if s.config.serverID != "" && isConnected(r, s.config.serverID) {
		return nil, refuse(http.StatusMisdirectedRequest, fmt.Errorf("transport: %w", ErrAlreadyConnected))
	}
	r, err := s.admit(r, from)
	if err != nil {
		return nil, err
	}
	m, protocol, err := s.config.choose(by, offered)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, fmt.Errorf("transport: %w", err))
	}
	own := s.limits()
	limits, err := agree(own, m, r.Header)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, fmt.Errorf("transport: the client's request: %w", err))
	}
	if protocol != "" {
		greeting := ""
		if limits.Greeting != nil {
			greeting = s.greetings[protocol]
		}
		answerTerms(w.Header(), greeting, &own)
	}
	d, err := s.upgrade(w, r, from, by, m, protocol, limits)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if !s.add(d) { // too late for another answer
		d.Close()
		return nil, ErrServerClosed
	}
	return d, nil
}

const (
	// maxHeaderBytes and maxHeaderFields limit the header of a request, which the
	// Dialer keeps. An empty field takes a hundred bytes of memory, so their number
	// counts as well.
	maxHeaderBytes  = 16 << 10
	maxHeaderFields = 100

	// headerSlack is what net/http reads beyond its MaxHeaderBytes.
	headerSlack = 4 << 10
)

// checkHeader refuses a request with too large a header. An http.Server in front may allow
// more bytes, and does not count fields.
func checkHeader(r *http.Request) error {
	fields, size := 0, len(r.Host)+len(r.URL.Path)+len(r.URL.RawPath)+len(r.URL.RawQuery)
	for name, values := range r.Header {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if fields <= maxHeaderFields && size <= maxHeaderBytes {
		return nil
	}
	return &refusal{
		rejection: carrier.RejectedError{StatusCode: http.StatusRequestHeaderFieldsTooLarge},
		cause:     fmt.Errorf("transport: header of %d fields and %d bytes: the limits are %d and %d", fields, size, maxHeaderFields, maxHeaderBytes),
	}
}

// beginHandshake takes a place for a handshake, which endHandshake frees. Close and
// Shutdown wait for it. beginHandshake refuses the client if the server is closing, or if it
// or the source has as many handshakes or clients as it may.
func (s *Server) beginHandshake(from source) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return unavailable(ErrServerClosed, drainRetryAfter)
	case s.handshakes >= s.config.maxHandshakes:
		return unavailable(fmt.Errorf("transport: %w: %d handshakes are under way", ErrServerFull, s.handshakes), handshakesRetryAfter)
	case len(s.dialers)+s.handshakes >= s.config.maxSessions:
		return unavailable(fmt.Errorf("transport: %w: it has %d clients", ErrServerFull, len(s.dialers)), sessionsRetryAfter)
	}
	if err := s.checkSourceLocked(from); err != nil {
		return err
	}
	s.takeHandshakeLocked(from)
	s.sessions.Add(1)
	return nil
}

func (s *Server) endHandshake(from source) {
	s.freeHandshake(from)
	s.sessions.Done()
}

func (s *Server) takeHandshakeLocked(from source) {
	s.handshakes++
	s.useLocked(from, 1, 0)
}

func (s *Server) freeHandshake(from source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handshakes--
	s.useLocked(from, -1, 0)
}

// carrierOf returns the carrier that r asks for, and the protocols that it offers.
func (s *Server) carrierOf(r *http.Request) (by carrier.Carrier, offered []string) {
	for _, c := range s.config.carriers {
		if offered, ok := c.Offer(r); ok {
			return c, offered
		}
	}
	return nil, nil
}

// refuseOther refuses a request that is for none of the server's carriers.
func (s *Server) refuseOther(r *http.Request) error {
	var names []string
	for _, c := range s.config.carriers {
		names = append(names, c.Name())
	}
	refused := refuse(http.StatusUpgradeRequired, fmt.Errorf("transport: %s %s is %w (%s)",
		redact.Text(r.Method), redact.Quote(r.URL.Path), ErrNotHandshake, strings.Join(names, ", ")))
	refused.rejection.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}
	return refused
}

// isConnected reports whether the client of r says that it has a session to the server with
// this ID.
func isConnected(r *http.Request, id string) bool {
	for _, list := range r.Header[connectedHeader] {
		for one := range strings.SplitSeq(list, ",") {
			if strings.TrimSpace(one) == id {
				return true
			}
		}
	}
	return false
}

// admit asks the user's functions whether a client may connect. It returns the request with
// the values that they have added to its context.
func (s *Server) admit(r *http.Request, from source) (*http.Request, error) {
	if check := s.config.checkOrigin; check != nil {
		if !check(r) {
			return r, &refusal{
				rejection: carrier.RejectedError{StatusCode: http.StatusForbidden},
				cause:     fmt.Errorf("transport: %w: %s", carrier.ErrOrigin, redact.Quote(r.Header.Get("Origin"))),
			}
		}
		r = carrier.AllowOrigin(r)
	}
	if s.config.authorize == nil {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.handshakeTimeout)
	defer cancel()
	asked := r.WithContext(ctx)
	answered := make(chan error, 1)
	go s.authorize(asked, answered)
	select {
	case err := <-answered:
		if err != nil {
			return r, refusalFor(err)
		}
		if s.isClosing() {
			return r, unavailable(ErrServerClosed, drainRetryAfter)
		}
		return r.WithContext(withValuesOf(r.Context(), asked.Context())), nil
	case <-ctx.Done():
		s.keepHandshakeUntil(answered, from)
		return r, unavailable(fmt.Errorf("transport: authorize: %w", ctxerr.Of(ctx)), handshakesRetryAfter)
	case <-s.refusing:
		s.keepHandshakeUntil(answered, from)
		return r, unavailable(ErrServerClosed, drainRetryAfter)
	}
}

// authorize calls the user's function, in a goroutine that ends with it.
func (s *Server) authorize(r *http.Request, answered chan<- error) {
	err := errors.New("the function ended without an answer")
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, func(l *slog.Logger) *slog.Logger {
				return clientOf(r.Context()).label(l).With("remote", r.RemoteAddr)
			})
			err = &refusal{
				rejection: carrier.RejectedError{StatusCode: http.StatusInternalServerError},
				cause:     fmt.Errorf("panic: %s", redact.Text(fmt.Sprint(v))),
			}
		}
		answered <- err
	}()
	err = s.config.authorize(r)
}

// keepHandshakeUntil takes another place for a function that outlives its handshake, so that
// these are bounded too.
func (s *Server) keepHandshakeUntil(done <-chan error, from source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeHandshakeLocked(from)
	go func() { // ends with the user's function
		<-done
		s.freeHandshake(from)
	}()
}

// upgrade upgrades r and starts the session. If it fails, it has answered r.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, from source, by carrier.Carrier, m mux.Muxer, protocol string, limits mux.Config) (*Dialer, error) {
	conn, err := by.Upgrade(w, r, protocol)
	if err != nil {
		return nil, err
	}
	var d *Dialer
	limits.OnExhausting = func() { s.exhausting(d) } // not before d has dialled
	session, err := startSession(&s.config, by, conn, m, m.DialSide, limits)
	if err != nil {
		return nil, err
	}
	session.client = clientOf(r.Context())
	d = newDialer(r, from, session)
	return d, nil
}

// limits returns the limits of a session on this side.
func (s *Server) limits() mux.Config {
	c := s.config.session
	if s.config.acceptFromClient == nil {
		c.MaxStreams = -1 // nobody would accept them
	} else if c.MaxStreams == 0 {
		c.MaxStreams = defaultMaxStreamsOfClient
	}
	return c
}

// serveClient announces the session of d, which add has registered, and calls the Handler.
func (s *Server) serveClient(d *Dialer) {
	if s.config.serverID != "" {
		d.session.say(controlMessage{kind: controlServer, text: s.config.serverID}) // best effort
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

// handshakeFailed announces that r did not lead to a session.
func (s *Server) handshakeFailed(r *http.Request, err error) {
	level := slog.LevelWarn
	if errors.Is(err, ErrAlreadyConnected) || errors.Is(err, ErrServerClosed) { // expected, and frequent
		level = slog.LevelDebug
	}
	err = redact.Error(err) // authorize may have repeated what the client says
	log := clientOf(r.Context()).label(s.config.logger).With("remote", redact.Text(r.RemoteAddr))
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok {
		log = log.With("status", rejected.StatusCode)
	}
	log.Log(r.Context(), level, "backdial: handshake failed", "err", err)
	if s.config.trace.HandshakeFailed != nil {
		s.config.trace.HandshakeFailed(r, err)
	}
}
