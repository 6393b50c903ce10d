package cluster

import (
	"errors"
	"fmt"

	"github.com/backdial/backdial/redact"
)

// Errors to act on.
var (
	// ErrNotConnected means that no replica has a session of the client, as far as the
	// registry knows. It may be wrong while a replica that has one is cut off from the engine.
	ErrNotConnected = errors.New("no replica holds the client")

	// ErrUnavailable means that the registry cannot say where the client is, because its
	// engine does not answer. The client may be connected.
	ErrUnavailable = errors.New("the registry is unavailable")

	// ErrMoved means that a replica claims the client, but says that it no longer has it, and
	// no other replica claims it: the client is on its way.
	ErrMoved = errors.New("the replica no longer holds the client")

	// ErrNotAllowed means that the replica that holds the client does not let this process
	// dial it ([WithAuthorize]).
	ErrNotAllowed = errors.New("not allowed to dial the client")
)

// A PeerError means that a replica that claims the client cannot be reached, or does not
// answer. The client may be connected.
type PeerError struct {
	// Node is the replica.
	Node Node

	// Err is the cause.
	Err error
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("replica %s at %q: %v", redact.Quote(e.Node.Name), redact.Address(e.Node.URL), e.Err)
}

// Unwrap returns the cause.
func (e *PeerError) Unwrap() error { return e.Err }
