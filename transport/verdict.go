package transport

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/backdial/backdial/carrier"
)

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
