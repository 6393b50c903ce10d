package transport

import (
	"fmt"
	"net/http"

	"github.com/backdial/backdial/carrier"
)

const (
	// maxHeaderBytes and maxHeaderFields limit the header of a request, which the
	// Dialer keeps. A field of no bytes costs a hundred in memory, so that their
	// number counts as well.
	maxHeaderBytes  = 16 << 10
	maxHeaderFields = 100

	// headerSlack is what net/http reads beyond what it is told to.
	headerSlack = 4 << 10
)

// checkHeader refuses a request whose header is larger than it may be. The server in
// front of this one may allow more, or not count the fields.
func checkHeader(r *http.Request) error {
	fields, size := 0, len(r.Host)+len(r.URL.Path)+len(r.URL.RawPath)+len(r.URL.RawQuery)
	for name, values := range r.Header {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if fields <= maxHeaderFields && size <= maxHeaderBytes {
		return nil
	}
	return &refusal{
		carrier.RejectedError{StatusCode: http.StatusRequestHeaderFieldsTooLarge},
		fmt.Errorf("transport: header of %d fields and %d bytes: there may be %d and %d", fields, size, maxHeaderFields, maxHeaderBytes),
	}
}
