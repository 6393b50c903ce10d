package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/backdial/backdial/internal/ctxerr"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
)

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

// ErrServerFull is matched by the error that [Trace.HandshakeFailed] is told when a
// client was refused because there are as many as there may be.
var ErrServerFull = errors.New("server is full")

// ErrNotHandshake is matched by the error that [Trace.HandshakeFailed] is told for a
// request that does not ask for a connection of one of the server's carriers, such as
// those of browsers, probes and scanners.
var ErrNotHandshake = errors.New("not a request of the carriers here")

// handshake makes a session of r, and registers it. If it fails, it has answered.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) (*Dialer, error) {
	if err := checkHeader(r); err != nil {
		return nil, answer(w, err)
	}
	from := s.config.address.sourceOf(r)
	if err := s.beginHandshake(from); err != nil {
		return nil, answer(w, err)
	}
	defer s.endHandshake(from) // also if a function of the user panics
	d, err := s.accept(w, r, from)
	if err != nil {
		return nil, err
	}
	if !s.add(d) { // too late to answer anything else
		d.Close()
		return nil, ErrServerClosed
	}
	return d, nil
}

const (
	// maxHeaderBytes and maxHeaderFields limit the header of a request, which the
	// Dialer keeps. A field of no bytes costs a hundred in memory, so that their
	// number counts as well.
	maxHeaderBytes  = 16 << 10
	maxHeaderFields = 100

	// headerSlack is what net/http reads beyond what it is told to.
	headerSlack = 4 << 10
)

// checkHeader refuses a request whose header is larger than it may be. The server in
// front of this one may allow more, or not count the fields.
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
		carrier.RejectedError{StatusCode: http.StatusRequestHeaderFieldsTooLarge},
		fmt.Errorf("transport: header of %d fields and %d bytes: there may be %d and %d", fields, size, maxHeaderFields, maxHeaderBytes),
	}
}

// beginHandshake takes a place for a handshake, which endHandshake frees. There is
// none when the server has enough to do, or enough of this source, or is not to have
// clients any more. Close and Shutdown wait for it.
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

// isConnected reports whether the client of r says that it holds a session to the
// server of that ID.
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

// admit asks the user's functions whether a client may connect. It returns the
// request with the values that they have added to its context.
func (s *Server) admit(r *http.Request, from source) (*http.Request, error) {
	if check := s.config.checkOrigin; check != nil {
		if !check(r) {
			return r, &refusal{
				carrier.RejectedError{StatusCode: http.StatusForbidden},
				fmt.Errorf("transport: %w: %s", carrier.ErrOrigin, redact.Quote(r.Header.Get("Origin"))),
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
			return r, rejection(err)
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

// authorize asks the user's function, in a goroutine that ends with it.
func (s *Server) authorize(r *http.Request, answered chan<- error) {
	err := errors.New("it has ended without an answer")
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, func(l *slog.Logger) *slog.Logger {
				return clientOf(r.Context()).label(l).With("remote", r.RemoteAddr)
			})
			err = &refusal{carrier.RejectedError{StatusCode: http.StatusInternalServerError}, fmt.Errorf("panic: %s", redact.Text(fmt.Sprint(v)))}
		}
		answered <- err
	}()
	err = s.config.authorize(r)
}

// keepHandshakeUntil takes another place for what goes on although its handshake
// does not: there are to be no more of these either.
func (s *Server) keepHandshakeUntil(done <-chan error, from source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeHandshakeLocked(from)
	go func() { // ends with the user's function
		<-done
		s.freeHandshake(from)
	}()
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
