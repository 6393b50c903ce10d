package transport

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/backdial/backdial/carrier"
)

// A Backoff says when a client connects again. The zero value means the defaults.
//
// The client waits for a random part of a time that begins with Min and doubles
// with each attempt in a row, up to Max, so that the clients of a server which was
// away come back one by one ("full jitter"). A server that answers with a
// Retry-After header adds that to it, an hour at most.
type Backoff struct {
	// Min is the longest wait before the first attempt. 0 means 500 ms.
	Min time.Duration

	// Max is the longest wait at all. 0 means 30 s; less than Min means Min.
	Max time.Duration

	// Stable is how long a session has to last for the next wait to be as if it
	// was the first. 0 means 30 s.
	Stable time.Duration
}

const (
	defaultBackoffMin    = 500 * time.Millisecond
	defaultBackoffMax    = 30 * time.Second
	defaultBackoffStable = 30 * time.Second

	// maxRetryAfter is how long a server can make a client wait.
	maxRetryAfter = time.Hour
)

func (b Backoff) withDefaults() Backoff {
	b.Min = cmp.Or(max(b.Min, 0), defaultBackoffMin)
	b.Max = max(cmp.Or(b.Max, defaultBackoffMax), b.Min)
	b.Stable = cmp.Or(max(b.Stable, 0), defaultBackoffStable)
	return b
}

// bound is the longest wait before attempt n, the first of which is 0.
func (b Backoff) bound(n int) time.Duration {
	d := b.Min
	for ; n > 0 && d <= b.Max/2; n-- { // so that it does not overflow
		d *= 2
	}
	if n > 0 {
		return b.Max
	}
	return d
}

// wait is how long to wait before attempt n, after one that failed with err.
func (b Backoff) wait(n int, err error) time.Duration {
	return rand.N(b.bound(n)) + retryAfter(err, time.Now())
}

// retryAfter is what the server in err asks for (RFC 9110, section 10.2.3).
func retryAfter(err error, now time.Time) (wait time.Duration) {
	for _, rejected := range rejections(err) {
		text := rejected.Header.Get("Retry-After")
		var d time.Duration
		if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
			d = time.Duration(seconds) * time.Second
		} else if at, err := http.ParseTime(text); err == nil {
			d = at.Sub(now)
		}
		wait = max(wait, d)
	}
	return min(wait, maxRetryAfter)
}

// rejections are those among the errors of all carriers.
func rejections(err error) (all []*carrier.RejectedError) {
	for _, one := range carrierErrors(err) {
		if r, ok := errors.AsType[*carrier.RejectedError](one); ok {
			all = append(all, r)
		}
	}
	return all
}

// carrierErrors are the errors of each carrier that was tried.
func carrierErrors(err error) []error {
	if several, ok := errors.AsType[*attempts](err); ok {
		return several.Unwrap()
	}
	return []error{err}
}

// Retryable reports whether it makes sense to connect again after err, the error
// of DialAndListen or the end of a session. It does, but for answers that a later
// attempt will get as well: 401 and 403 from any carrier, and if no carrier met
// with anything else, another refusal with a status of 4xx, except those that
// speak of time (408, 409, 425 and 429) or of another server (421: the next attempt may
// be led elsewhere, see RFC 9110, section 15.5.20, and [WithSessions]), a redirect for
// good (301 and 308), no protocol in common, and a URL that is invalid or of a scheme
// that no carrier knows. Nor does it after a session that was given up because there is
// another to the same server ([ErrAlreadyConnected]).
// It is what a client with [WithReconnect] goes by if it has no [WithRetry].
func Retryable(err error) bool {
	for _, r := range rejections(err) {
		if r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden {
			return false
		}
	}
	return slices.ContainsFunc(carrierErrors(err), func(one error) bool { return !final(one) })
}

// final reports whether err is an answer that will not change.
func final(err error) bool {
	if errors.Is(err, ErrNoCommonMux) || errors.Is(err, carrier.ErrScheme) || errors.Is(err, errURL) ||
		errors.Is(err, ErrAlreadyConnected) {
		return true
	}
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	if !ok {
		return false
	}
	switch rejected.StatusCode {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusMisdirectedRequest, http.StatusTooEarly,
		http.StatusTooManyRequests:
		return false
	case http.StatusMovedPermanently, http.StatusPermanentRedirect: // which are not followed
		return true
	}
	return rejected.StatusCode >= 400 && rejected.StatusCode < 500
}
