package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
)

// ErrServerFull is matched by the error that [Trace.HandshakeFailed] is told when a
// client was refused because there are as many as there may be.
var ErrServerFull = errors.New("server is full")

// ErrNotHandshake is matched by the error that [Trace.HandshakeFailed] is told for a
// request that does not ask for a connection of one of the server's carriers, such as
// those of browsers, probes and scanners.
var ErrNotHandshake = errors.New("not a request of the carriers here")

// handshake makes a session of r, and registers it. If it fails, it has answered.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) (*Dialer, error) {
	if err := s.beginHandshake(); err != nil {
		return nil, answer(w, err)
	}
	defer s.endHandshake() // also if a function of the user panics
	d, err := s.accept(w, r)
	if err != nil {
		return nil, err
	}
	if !s.add(d) { // too late to answer anything else
		d.Close()
		return nil, ErrServerClosed
	}
	return d, nil
}

// beginHandshake takes a place for a handshake, which endHandshake frees. There is
// none when the server has enough to do, or is not to have clients any more. Close
// and Shutdown wait for it.
func (s *Server) beginHandshake() error {
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
	s.handshakes++
	s.sessions.Add(1)
	return nil
}

func (s *Server) endHandshake() {
	s.freeHandshake()
	s.sessions.Done()
}

func (s *Server) freeHandshake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handshakes--
}

// admit asks the user's functions whether a client may connect. It returns the
// request with the values that they have added to its context.
func (s *Server) admit(r *http.Request) (*http.Request, error) {
	if check := s.config.checkOrigin; check != nil {
		if !check(r) {
			return r, &refusal{
				carrier.RejectedError{StatusCode: http.StatusForbidden},
				fmt.Errorf("transport: %w: %.*q", carrier.ErrOrigin, maxShown, r.Header.Get("Origin")),
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
		s.keepHandshakeUntil(answered)
		return r, unavailable(fmt.Errorf("transport: authorize: %w", ctxerr.Of(ctx)), handshakesRetryAfter)
	case <-s.refusing:
		s.keepHandshakeUntil(answered)
		return r, unavailable(ErrServerClosed, drainRetryAfter)
	}
}

// authorize asks the user's function, in a goroutine that ends with it.
func (s *Server) authorize(r *http.Request, answered chan<- error) {
	err := errors.New("transport: authorize: it has ended without an answer")
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, r.RemoteAddr)
			err = fmt.Errorf("transport: authorize: panic: %v", v)
			err = &refusal{carrier.RejectedError{StatusCode: http.StatusInternalServerError}, err}
		}
		answered <- err
	}()
	err = s.config.authorize(r)
}

// keepHandshakeUntil takes another place for what goes on although its handshake
// does not: there are to be no more of these either.
func (s *Server) keepHandshakeUntil(done <-chan error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handshakes++
	go func() { // ends with the user's function
		<-done
		s.freeHandshake()
	}()
}

// A refusal is why a request did not lead to a session, and how it is answered.
type refusal struct {
	answer carrier.RejectedError
	cause  error
}

func (r *refusal) Error() string { return r.cause.Error() }

// Unwrap has the error match the answer first, and not what the user's function
// would have liked it to be.
func (r *refusal) Unwrap() []error { return []error{&r.answer, r.cause} }

// unavailable is the refusal of a client that may come back after a while.
func unavailable(cause error, retryAfter time.Duration) error {
	seconds := strconv.Itoa(int(retryAfter.Seconds()))
	return &refusal{carrier.RejectedError{
		StatusCode: http.StatusServiceUnavailable,
		Header:     http.Header{"Retry-After": {seconds}},
	}, cause}
}

// rejection is the refusal of a client that the user's function does not want.
func rejection(err error) error {
	if already, ok := err.(*refusal); ok {
		return already
	}
	r := &refusal{carrier.RejectedError{StatusCode: http.StatusForbidden}, fmt.Errorf("transport: authorize: %w", err)}
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok {
		r.answer = *rejected
	}
	if r.answer.StatusCode < 400 || r.answer.StatusCode > 599 {
		r.answer.StatusCode = http.StatusForbidden
	}
	return r
}

// answer answers a request as err says, a refusal, and returns err.
func answer(w http.ResponseWriter, err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return refuse(w, http.StatusInternalServerError, err)
	}
	for name, values := range r.answer.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if r.answer.Body == nil {
		http.Error(w, http.StatusText(r.answer.StatusCode), r.answer.StatusCode)
		return err
	}
	w.WriteHeader(r.answer.StatusCode)
	w.Write(r.answer.Body)
	return err
}
