package fleet

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/backdial/backdial/internal/ident"
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// Identify returns a client's ID from its request. An error refuses the client, as
// [transport.WithAuthorize] says: with the status and header of a [carrier.RejectedError] in
// it, and for good if it matches [transport.ErrUnauthorized] or [transport.ErrForbidden]; or
// otherwise with status 503, after which the client comes back. Identify is called
// concurrently. WithAuthorize bounds it if it blocks, and handles its panics. Without
// [Fleet.Authorize], Identify is called after the client has connected, with a request that
// lacks some fields; if it blocks, that client waits until its session ends.
type Identify func(r *http.Request) (id string, err error)

// ByHeader identifies clients by a header of their request. Clients can set it as they like,
// so use it only for clients that you trust, or that something in front of the server has
// authenticated. A request without the header, or with several, is refused with status 400,
// but not for good: something on the way may have removed it.
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

// ErrInvalidID means that a string cannot be an ID.
var ErrInvalidID = errors.New(ident.Rule)

// CheckID returns an error that matches [ErrInvalidID] unless id can be an ID: 1 to 128 of the
// characters that RFC 3986, section 2.3, calls unreserved, with no dot at either end. Such an
// ID is the same as a host in a URL, as a segment of a path and in a log. IDs that appear in a
// host name of [ReverseProxy] must not have upper case, either.
func CheckID(id string) error {
	if !ident.Valid(id) {
		return fmt.Errorf("%s: %w", redact.Quote(id[:min(len(id), ident.MaxLength)]), ErrInvalidID)
	}
	return nil
}

// identified calls Identify, and checks the ID.
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
