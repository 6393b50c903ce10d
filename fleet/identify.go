package fleet

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/backdial/backdial/internal/ident"
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// Identify tells a client's ID from its request. An error refuses the client: as
// [transport.WithAuthorize] says, with the status and header of a [carrier.RejectedError]
// in it, which sends the client away for good if it matches [transport.ErrUnauthorized] or
// [transport.ErrForbidden], and with status 503 otherwise, after which the client comes
// back. It is called by several goroutines at a time; what blocks or panics is bounded
// by WithAuthorize. Without [Fleet.Authorize] it is asked for a client that is
// connected, with a request that has not all of the fields, and what blocks keeps that
// client waiting until its session ends.
type Identify func(r *http.Request) (id string, err error)

// ByHeader identifies clients by a header of their request, which they can set as
// they like: it is for clients that are trusted, or were authenticated by whoever is
// in front of the server. A request with no such header, or several, is refused with
// status 400, but not for good: something on the way may have removed it.
func ByHeader(name string) Identify {
	return func(r *http.Request) (string, error) {
		values := r.Header.Values(name)
		if len(values) != 1 {
			err := fmt.Errorf("the request has %d headers %s, want one", len(values), name)
			return "", refuse(http.StatusBadRequest, err.Error(), err)
		}
		return values[0], nil
	}
}

// ErrInvalidID is matched by the error for what is not an ID.
var ErrInvalidID = errors.New(ident.Rule)

// CheckID returns an error that matches [ErrInvalidID] unless id can be an ID: 1 to
// 128 of the characters that RFC 3986, section 2.3, calls unreserved, with no dot at
// either end. Such an ID is the same as a host in a URL, as a segment of a path and
// in a log. Those that are to be used in a host name of [ReverseProxy] have no
// upper case, either.
func CheckID(id string) error {
	if !ident.Valid(id) {
		return fmt.Errorf("%s: %w", redact.Quote(id[:min(len(id), ident.MaxLength)]), ErrInvalidID)
	}
	return nil
}

// identified asks the user's function, and checks what it says.
func (f *Fleet) identified(r *http.Request) (id string, err error) {
	if id, err = f.identify(r); err != nil {
		return "", fmt.Errorf("fleet: identify: %w", err)
	}
	if err := CheckID(id); err != nil {
		err = fmt.Errorf("client ID %w", err)
		return "", fmt.Errorf("fleet: identify: %w", refuse(http.StatusBadRequest, err.Error(), err))
	}
	transport.NameClient(r.Context(), id)
	return id, nil
}
