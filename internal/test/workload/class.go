package workload

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// A Class is a kind of what [Caller.Exchange] returns.
type Class int

// The classes. Those from Ended on are failures, and no violations.
const (
	Done      Class = iota // there is no error
	Corrupt                // something else came than was sent
	Truncated              // it ended early, as if the device had finished it
	Ended                  // the session did, or was closed
	Draining               // the session was about to end, and took no new streams
	Reset                  // the stream was
	Refused                // the device gave up, because something failed there
	Deadline               // it was exceeded
	Other                  // anything else
	Classes                // how many there are
)

// ClassOf tells what kind of error err is.
func ClassOf(err error) Class {
	switch {
	case err == nil:
		return Done
	case errors.Is(err, errCorrupt):
		return Corrupt
	case errors.Is(err, errEnded):
		return Truncated
	case errors.Is(err, errRefused):
		return Refused
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return Deadline
	case errors.Is(err, transport.ErrDraining):
		return Draining
	case errors.Is(err, mux.ErrReset):
		return Reset
	case errors.Is(err, mux.ErrSessionEnded), errors.Is(err, net.ErrClosed):
		return Ended
	}
	return Other
}
