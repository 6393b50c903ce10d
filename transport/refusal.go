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

// A refusal is why a request did not lead to a session, and the answer to it.
type refusal struct {
	rejection carrier.RejectedError // the answer
	cause     error
	shown     bool // the client is shown the cause
}

func (r *refusal) Error() string { return r.cause.Error() }

// Unwrap puts the answer first: an error of the user's function may contain another one.
func (r *refusal) Unwrap() []error { return []error{&r.rejection, r.cause} }

// answer sends the answer.
func (r *refusal) answer(w http.ResponseWriter) {
	maps.Copy(w.Header(), canonical(r.rejection.Header))
	switch status := r.rejection.StatusCode; {
	case r.shown:
		http.Error(w, strings.TrimPrefix(r.Error(), "transport: "), status)
	case r.rejection.Body == nil:
		http.Error(w, http.StatusText(status), status)
	default:
		w.WriteHeader(status)
		w.Write(r.rejection.Body)
	}
}

// refuse returns the refusal of a request that cannot become a session, and shows the client
// why.
func refuse(status int, cause error) *refusal {
	return &refusal{rejection: carrier.RejectedError{StatusCode: status}, cause: cause, shown: true}
}

// unavailable returns the refusal of a client that may come back after a while.
func unavailable(cause error, retryAfter time.Duration) *refusal {
	return later(http.StatusServiceUnavailable, cause, retryAfter)
}

func later(status int, cause error, retryAfter time.Duration) *refusal {
	seconds := strconv.Itoa(int(retryAfter.Seconds()))
	return &refusal{
		rejection: carrier.RejectedError{StatusCode: status, Header: http.Header{"Retry-After": {seconds}}},
		cause:     cause,
	}
}

// ErrUnauthorized and ErrForbidden are for the function of [WithAuthorize]: an error that
// matches one of them sends the client away for good, with status 401 or 403. The client's
// error matches [*carrier.RejectedError] instead.
//
// [*carrier.RejectedError]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError
var (
	ErrUnauthorized = verdict(http.StatusUnauthorized, "unauthorized")
	ErrForbidden    = verdict(http.StatusForbidden, "forbidden")
)

func verdict(status int, text string) error {
	return &refusal{rejection: carrier.RejectedError{StatusCode: status}, cause: errors.New(text)}
}

// refusalFor returns the refusal for an error of the user's function. An error that does not
// say how to answer may be gone the next time.
func refusalFor(err error) *refusal {
	cause := fmt.Errorf("transport: authorize: %w", err)
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	if !ok {
		return unavailable(cause, authorizeRetryAfter)
	}
	r := &refusal{rejection: *rejected, cause: cause}
	r.rejection.Header = canonical(rejected.Header)
	if isVerdict(&r.rejection) {
		r.rejection.Header.Set(carrier.RejectedHeader, "1")
	}
	if r.rejection.Final() && r.rejection.Header.Get("Cache-Control") == "" {
		r.rejection.Header.Set("Cache-Control", "no-store") // a cache must not send it to other clients
	}
	if r.rejection.StatusCode < 400 || r.rejection.StatusCode > 599 {
		r.rejection.StatusCode = http.StatusForbidden
	}
	return r
}

// isVerdict reports whether an answer is about the client, and not about the time, or about
// the request, which something on the way may have changed.
func isVerdict(answer *carrier.RejectedError) bool {
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return answer.Header.Get("Retry-After") == ""
	}
	return false
}

// canonical returns a copy of h whose fields have the names that package http uses.
func canonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		c[name] = append(c[name], values...)
	}
	return c
}
