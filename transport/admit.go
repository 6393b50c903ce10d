package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/redact"
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
	return later(http.StatusServiceUnavailable, cause, retryAfter)
}

func later(status int, cause error, retryAfter time.Duration) error {
	seconds := strconv.Itoa(int(retryAfter.Seconds()))
	return &refusal{carrier.RejectedError{
		StatusCode: status,
		Header:     http.Header{"Retry-After": {seconds}},
	}, cause}
}

// answer answers a request as err says, a refusal, and returns err.
func answer(w http.ResponseWriter, err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return refuse(w, http.StatusInternalServerError, err)
	}
	maps.Copy(w.Header(), canonical(r.answer.Header))
	if r.answer.Body == nil {
		http.Error(w, http.StatusText(r.answer.StatusCode), r.answer.StatusCode)
		return err
	}
	w.WriteHeader(r.answer.StatusCode)
	w.Write(r.answer.Body)
	return err
}
