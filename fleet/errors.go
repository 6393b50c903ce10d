package fleet

import (
	"fmt"
	"time"

	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// ErrReplaced is why a session has left the fleet for a newer one with the same ID. The
// session's error matches it, and it matches [transport.EndReplaced].
var ErrReplaced = fmt.Errorf("%w by a newer session of the same client", transport.EndReplaced)

// A KickedError is why a session has left the fleet after [Fleet.Kick]. The session's error
// matches it, and it matches [transport.EndKicked].
type KickedError struct{ Reason string }

func (e *KickedError) Error() string { return "kicked: " + redact.Quote(e.Reason) }

// Unwrap returns [transport.EndKicked].
func (e *KickedError) Unwrap() error { return transport.EndKicked }

// A NotConnectedError is the error of a Dial of a client without a session to dial.
type NotConnectedError struct {
	ID string

	// Since is when the client left. It is zero if the fleet has never seen the client, or has
	// forgotten it.
	Since time.Time

	// Cause is why the client left, or nil. It matches [transport.ErrClientGone] for a client
	// that left or was lost, [transport.ErrDraining] for one that has moved elsewhere or whose
	// server shuts down, [ErrReplaced], [*KickedError], or [net.ErrClosed] for one that this
	// end closed.
	Cause error
}

func (e *NotConnectedError) Error() string {
	switch {
	case e.Since.IsZero() && e.Cause != nil:
		return fmt.Sprintf("client %q is not connected: %v", e.ID, e.Cause)
	case e.Since.IsZero():
		return fmt.Sprintf("client %q is not connected, and was never seen", e.ID)
	}
	return fmt.Sprintf("client %q left %v ago: %v", e.ID, time.Since(e.Since).Round(time.Millisecond), e.Cause)
}

// Unwrap returns the cause.
func (e *NotConnectedError) Unwrap() error { return e.Cause }
