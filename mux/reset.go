package mux

import "fmt"

// A ResetError says that the peer has ended a direction of a stream before its end, and
// with which code. Read returns it if the peer has reset what it sends, and Write if the
// peer wants no more. Protocols without codes do not have it. It matches [ErrReset].
type ResetError struct {
	// Code is the peer's reason. A peer of this library sends 0 for a stream that was
	// closed, and 1 for one that was refused, or reset without a code.
	Code uint64
}

func (e *ResetError) Error() string { return fmt.Sprintf("%v with code %d", ErrReset, e.Code) }

// Is reports whether target is [ErrReset].
func (e *ResetError) Is(target error) bool { return target == ErrReset }

// A CodeResetter is a [Stream] whose protocol has codes.
type CodeResetter interface {
	Stream

	// ResetWithCode is Reset with a code that says why. The peer gets it in a
	// [*ResetError]. Reset alone sends the code 1.
	ResetWithCode(code uint32) error
}

// A Checker is a [Stream] that reports its failure to callers that are not reading it.
type Checker interface {
	Stream

	// Check returns the error that Read will return after what has arrived, if the peer
	// has reset the stream, the session ended before the peer had finished it, or this end
	// has closed it. Otherwise it returns nil. It does not wait.
	Check() error
}
