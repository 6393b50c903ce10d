// Package outcome names the outcome of an event with one word of a fixed set, for metrics and
// traces: errors name peers and addresses, of which there is no end. Packages metrics and
// metrics/otel use it. A collector of your own can call it with the errors that a
// [transport.Trace] gets. A later version may have more words.
package outcome

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// The outcomes.
const (
	OK           = "ok"
	Draining     = "draining"      // the session takes no new streams
	Gone         = "gone"          // the session was lost, or closed by the peer
	Closed       = "closed"        // by this end
	Reset        = "reset"         // the peer reset or refused a stream
	SessionEnded = "session_ended" // in the middle of a stream
	Timeout      = "timeout"
	Canceled     = "canceled"
	Full         = "full"          // the server has as many clients, or handshakes, as it may
	Closing      = "closing"       // the server shuts down
	Connected    = "connected"     // the client already has a session to the server
	Origin       = "origin"        // of a page that may not connect
	NotHandshake = "not_handshake" // a request of a browser, a probe or a scanner
	NoCommonMux  = "no_common_mux"
	Rejected     = "rejected"    // with a status
	LostRace     = "lost_race"   // another carrier was first
	DNS          = "dns"         // the server's name was not found
	Certificate  = "certificate" // the server's is not trusted
	Other        = "other"
)

// OfDials returns what Dial may return, so that a collector can make a series for each outcome
// when it starts: a rate would miss the first event otherwise.
func OfDials() []string { return []string{OK, Draining, Gone, Closed, Timeout, Canceled, Other} }

// OfStreams returns what Stream may return, besides "".
func OfStreams() []string { return []string{Reset, SessionEnded, Closed, Other} }

// OfHandshakes returns the reasons that Handshake may return.
func OfHandshakes() []string {
	return []string{Full, Closing, Connected, Origin, NotHandshake, NoCommonMux, Rejected, Timeout, Canceled, Other}
}

// OfConnects returns the results that Connect may return.
func OfConnects() []string {
	return []string{OK, LostRace, Rejected, NoCommonMux, DNS, Certificate, Timeout, Canceled, Other}
}

// OfCodes returns the codes that Handshake and Connect may return, besides "".
func OfCodes() []string {
	return []string{"401", "403", "404", "409", "421", "429", "500", "503", Other}
}

// Dial returns the outcome of a Dial with ctx. It is one of OfDials.
func Dial(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return OK
	case ctx.Err() != nil && errors.Is(err, ctx.Err()): // also if it has waited for another session
		return ended(err)
	case errors.Is(err, transport.ErrDraining), errors.Is(err, mux.ErrGoAway):
		return Draining
	case errors.Is(err, mux.ErrSessionEnded):
		return Gone
	case errors.Is(err, net.ErrClosed):
		return Closed
	}
	return Other
}

// Stream returns what went wrong in a stream, which is one of OfStreams, or "" for nothing.
func Stream(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, mux.ErrReset):
		return Reset
	case errors.Is(err, mux.ErrSessionEnded):
		return SessionEnded
	case errors.Is(err, net.ErrClosed): // this end closed the session; closing the stream is no error
		return Closed
	}
	return Other
}

// Handshake returns why a request did not lead to a session, which is one of OfHandshakes, and
// if it was rejected, one of OfCodes for its status.
func Handshake(err error) (reason, code string) {
	switch {
	case errors.Is(err, transport.ErrServerFull):
		return Full, ""
	case errors.Is(err, transport.ErrServerClosed):
		return Closing, ""
	case errors.Is(err, transport.ErrAlreadyConnected):
		return Connected, ""
	case errors.Is(err, carrier.ErrOrigin):
		return Origin, ""
	case errors.Is(err, transport.ErrNotHandshake):
		return NotHandshake, ""
	case errors.Is(err, transport.ErrNoCommonMux):
		return NoCommonMux, ""
	}
	return answer(err)
}

// Connect returns the outcome of a client's attempt to connect with one of its carriers, which
// is one of OfConnects, and if it was rejected, one of OfCodes for its status.
func Connect(err error) (result, code string) {
	_, nameless := errors.AsType[*net.DNSError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case err == nil:
		return OK, ""
	case errors.Is(err, transport.ErrLostRace):
		return LostRace, ""
	case errors.Is(err, transport.ErrNoCommonMux):
		return NoCommonMux, ""
	case nameless && !isTimeout(err):
		return DNS, ""
	case untrusted:
		return Certificate, ""
	}
	return answer(err)
}

// answer is for an error that may be an answer, or the lack of one in time.
func answer(err error) (result, code string) {
	if how := ended(err); how != Other {
		return how, ""
	}
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok {
		return Rejected, status(rejected.StatusCode)
	}
	return Other, ""
}

func status(code int) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
		http.StatusMisdirectedRequest, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable:
		return strconv.Itoa(code)
	}
	return Other
}

// ended tells how the time for an operation that failed with err ended, if it did.
func ended(err error) string {
	switch {
	case isTimeout(err):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Other
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout()
}
