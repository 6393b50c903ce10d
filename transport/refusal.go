package transport

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/backdial/backdial/carrier"
)

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

// refuse answers a request with what is wrong, and returns it.
func refuse(w http.ResponseWriter, status int, err error) error {
	http.Error(w, strings.TrimPrefix(err.Error(), "transport: "), status)
	return &refusal{carrier.RejectedError{StatusCode: status}, err}
}

// ErrUnauthorized and ErrForbidden are for the function of [WithAuthorize]: an error that
// matches one of them sends the client away for good, with status 401 or 403. A client
// finds a [*carrier.RejectedError] in its error instead.
//
// [*carrier.RejectedError]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError
var (
	ErrUnauthorized error = &refusal{carrier.RejectedError{StatusCode: http.StatusUnauthorized}, errors.New("unauthorized")}
	ErrForbidden    error = &refusal{carrier.RejectedError{StatusCode: http.StatusForbidden}, errors.New("forbidden")}
)

// rejection is the refusal of a client because of an error of the user's function. If
// that does not say how to answer, something has failed that may work again soon.
func rejection(err error) error {
	cause := fmt.Errorf("transport: authorize: %w", err)
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	if !ok {
		return unavailable(cause, authorizeRetryAfter)
	}
	r := &refusal{*rejected, cause}
	r.answer.Header = canonical(rejected.Header)
	if isVerdict(&r.answer) {
		r.answer.Header.Set(carrier.RejectedHeader, "1")
	}
	if r.answer.Final() && r.answer.Header.Get("Cache-Control") == "" {
		r.answer.Header.Set("Cache-Control", "no-store") // or else others may get it too
	}
	if r.answer.StatusCode < 400 || r.answer.StatusCode > 599 {
		r.answer.StatusCode = http.StatusForbidden
	}
	return r
}

// isVerdict reports whether an answer is about the client, and not about its request,
// which something on the way may have changed, or about the time.
func isVerdict(answer *carrier.RejectedError) bool {
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return answer.Header.Get("Retry-After") == ""
	}
	return false
}

// canonical returns a copy of h whose fields have the names that package http knows.
func canonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		c[name] = append(c[name], values...)
	}
	return c
}
