package mux

import "fmt"

// A ResetError is the error of a stream of which the peer has ended a direction before
// its end, where the protocol says with which code: that of Read if the peer has reset
// what it sends, and that of Write if it wants no more. It matches [ErrReset].
type ResetError struct {
	// Code is what the peer gave as the reason. Of a peer of this library, 0 is a
	// stream that was closed, and 1 one that was refused, or reset without a code.
	Code uint64
}

func (e *ResetError) Error() string { return fmt.Sprintf("%v with code %d", ErrReset, e.Code) }

// Is reports whether target is [ErrReset].
func (e *ResetError) Is(target error) bool { return target == ErrReset }

// A CodeResetter is a [Stream] whose protocol has codes.
type CodeResetter interface {
	Stream

	// ResetWithCode is Reset with a code that says why. The peer finds it in a
	// [*ResetError]. Reset alone has the code 1.
	ResetWithCode(code uint32) error
}

// A Checker is a [Stream] that tells that it has been cut to who is not reading it.
type Checker interface {
	Stream

	// Check returns the error with which Read is going to fail after what has arrived, if
	// the peer has reset the stream, or the session ended before the peer had finished it,
	// or this end has closed it. Otherwise it is nil. It waits for nothing.
	Check() error
}
