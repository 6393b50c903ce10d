package transport

import (
	"errors"
	"net/http"
	"slices"

	"github.com/backdial/backdial/carrier"
)

// Retryable reports whether it makes sense to connect again after err, the error
// of DialAndListen or the end of a session. It does, unless the server itself has sent
// the client away for good, by an answer that has the header Backdial-Rejected
// ([carrier.RejectedError.Final]), or no attempt can do better: the URL is invalid or of
// a scheme that no carrier knows, or no multiplexer runs on any of the carriers.
//
// Any other answer may be that of something on the way, such as a gateway, a firewall, a
// portal, or a proxy that has removed a header, or that of a server which is about to be
// mended. A client with [WithReconnect] then comes back, more and more seldom
// ([Backoff]). So it does after a session that was given up because there is another to
// the same server ([ErrAlreadyConnected]), and after one in which the server did not
// speak yamux although nothing else was offered.
//
// It is what a client with [WithReconnect] goes by if it has no [WithRetry].
//
// [carrier.RejectedError.Final]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError.Final
func Retryable(err error) bool {
	return !isRejected(err) && !each(err, errURL, carrier.ErrScheme, errNoMux)
}

// retryable is Retryable for a client whose URL may be another the next time.
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

// each reports whether the error of each carrier that was tried matches one of some.
func each(err error, some ...error) bool {
	return !slices.ContainsFunc(carrierErrors(err), func(one error) bool {
		return !slices.ContainsFunc(some, func(target error) bool { return errors.Is(one, target) })
	})
}

// isRefused reports whether err is a refusal, as [Backoff] says.
func isRefused(err error) bool {
	return slices.ContainsFunc(carrierErrors(err), func(one error) bool {
		if errors.Is(one, ErrNoCommonMux) || errors.Is(one, ErrAlreadyConnected) || errors.Is(one, errNoYamux) {
			return true
		}
		rejected, ok := errors.AsType[*carrier.RejectedError](one)
		return ok && !isPassing(rejected.StatusCode)
	})
}

// isPassing reports whether a status speaks of the time, or of one of several servers.
func isPassing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusMisdirectedRequest, http.StatusTooEarly,
		http.StatusTooManyRequests:
		return true
	}
	return status/100 == 5
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
