package transport

import (
	"errors"
	"net/http"
	"slices"

	"github.com/backdial/backdial/carrier"
)

// Retryable reports whether it makes sense to connect again after err, the error of
// DialAndListen or the end of a session. It is false if the server itself has sent the client
// away for good, by an answer with the header Backdial-Rejected
// ([carrier.RejectedError.Final]), or if no attempt can succeed: the URL is invalid or has a
// scheme that no carrier knows, or no multiplexer runs on any of the carriers.
//
// Any other answer may come from something on the way, such as a gateway, a firewall, a
// portal, or a proxy that removes a header, or from a server that is about to be mended. After
// those a client with [WithReconnect] comes back, less and less often ([Backoff]). It does so
// too after a session that it gave up because it has another to the same server
// ([ErrAlreadyConnected]), and after one in which the server did not use yamux although the
// client offered nothing.
//
// A client with [WithReconnect] uses Retryable unless it has [WithRetry].
//
// [carrier.RejectedError.Final]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError.Final
func Retryable(err error) bool {
	return !isRejected(err) && !each(err, errURL, carrier.ErrScheme, errNoMux)
}

// retryable is Retryable for a client whose URL may differ the next time.
func (c *config) retryable(err error) bool {
	if c.url == nil {
		return Retryable(err)
	}
	return !isRejected(err) && !each(err, errNoMux)
}

// isRejected reports whether a server has sent the client away for good.
func isRejected(err error) bool {
	return slices.ContainsFunc(rejections(err), (*carrier.RejectedError).Final)
}

// each reports whether the error of every carrier that was tried matches one of some.
func each(err error, some ...error) bool {
	return !slices.ContainsFunc(carrierErrors(err), func(one error) bool {
		return !slices.ContainsFunc(some, func(target error) bool { return errors.Is(one, target) })
	})
}

// isRefused reports whether err is a refusal in the sense of [Backoff].
func isRefused(err error) bool {
	return slices.ContainsFunc(carrierErrors(err), func(one error) bool {
		if errors.Is(one, ErrNoCommonMux) || errors.Is(one, ErrAlreadyConnected) || errors.Is(one, errNoYamux) {
			return true
		}
		rejected, ok := errors.AsType[*carrier.RejectedError](one)
		return ok && !isPassing(rejected.StatusCode)
	})
}

// isPassing reports whether a status is about the time, or about one of several servers.
func isPassing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusMisdirectedRequest, http.StatusTooEarly,
		http.StatusTooManyRequests:
		return true
	}
	return status/100 == 5
}

// rejections returns the answers among the errors of all carriers.
func rejections(err error) (all []*carrier.RejectedError) {
	for _, one := range carrierErrors(err) {
		if r, ok := errors.AsType[*carrier.RejectedError](one); ok {
			all = append(all, r)
		}
	}
	return all
}

// carrierErrors returns the error of each carrier that was tried.
func carrierErrors(err error) []error {
	if several, ok := errors.AsType[*tryErrors](err); ok {
		return several.Unwrap()
	}
	return []error{err}
}
