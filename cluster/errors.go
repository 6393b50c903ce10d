package cluster

import (
	"errors"
	"fmt"

	"github.com/backdial/backdial/redact"
)

// Errors that callers act upon.
var (
	// ErrNotConnected is matched when no replica has a session of the client, as far as
	// the registry knows. It may be wrong while a replica that has one is cut off from
	// the engine.
	ErrNotConnected = errors.New("no replica holds the client")

	// ErrUnavailable is matched when nobody can say where the client is, because the
	// engine of the registry does not answer. The client may be connected.
	ErrUnavailable = errors.New("the registry is unavailable")

	// ErrMoved is matched when a replica claims the client, but says when it is asked that
	// it does not have it any more, and no other claims it: the client is on its way.
	ErrMoved = errors.New("the replica no longer holds the client")

	// ErrNotAllowed is matched when the replica that holds the client does not let this
	// process dial it ([WithAuthorize]).
	ErrNotAllowed = errors.New("not allowed to dial the client")
)

// A PeerError is matched when a replica that claims the client cannot be reached, or does
// not answer. The client may be connected.
type PeerError struct {
	// Node is the replica, as it was found.
	Node Node

	// Err is what happened.
	Err error
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("replica %s at %q: %v", redact.Quote(e.Node.Name), redact.Address(e.Node.URL), e.Err)
}

// Unwrap returns the cause.
func (e *PeerError) Unwrap() error { return e.Err }
