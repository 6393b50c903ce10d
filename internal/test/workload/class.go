package workload

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// A Class is a kind of result of [Caller.Exchange].
type Class int

// The classes. From Ended on they are failures, but not violations.
const (
	Done      Class = iota // no error
	Corrupt                // something arrived that was not sent
	Truncated              // it ended early, as if the device had finished it
	Ended                  // the session ended, or was closed
	Draining               // the session was about to end, and took no new streams
	Reset                  // the stream was reset
	Refused                // the device gave up, because something failed there
	Deadline               // the deadline was exceeded
	Other                  // anything else
	Classes                // the number of classes
)

// ClassOf returns the class of err.
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
