package carrier

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/backdial/backdial/redact"
)

// RejectedHeader is the header by which a server rejects a client for good. Its value is
// "1". A client that reconnects goes by this header and not by the status, because
// gateways, firewalls, portals and caches on the way answer with any status too, and
// their answers soon change.
const RejectedHeader = "Backdial-Rejected"

// A RejectedError is the error of Dial when the server, or something on the way to it,
// answered without making a connection. On the server, it says how to refuse a client.
type RejectedError struct {
	// StatusCode of the answer, such as 403.
	StatusCode int

	// Header of the answer.
	Header http.Header

	// Body of the answer, cut to its first KiB.
	Body []byte
}

// Final reports whether the server itself has rejected the client for good: the answer
// has the [RejectedHeader].
func (e *RejectedError) Final() bool { return e.Header.Get(RejectedHeader) == "1" }

// Error shows at most 200 bytes each of the answer's Location and Body, and no user or
// query of a URL in them.
func (e *RejectedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "server answered %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if e.Final() {
		b.WriteString(", for good")
	}
	if to := e.Header.Get("Location"); to != "" {
		fmt.Fprintf(&b, " to %q (redirects are not followed)", redact.Address(to))
	}
	if body := strings.TrimSpace(string(e.Body)); body != "" {
		fmt.Fprintf(&b, ": %s", redact.Quote(body))
	}
	return b.String()
}
