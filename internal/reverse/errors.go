package reverse

import "github.com/backdial/backdial/transport"

// A NoConnectionError is the error of a request for which no connection could be opened in a
// session. Package rhttp returns it and package fleet looks for it. Session tells it from that
// of another session, with which the body of a request may have failed.
type NoConnectionError struct {
	Session *transport.Dialer
	Err     error // what users see and match
}

func (e *NoConnectionError) Error() string { return e.Err.Error() }
func (e *NoConnectionError) Unwrap() error { return e.Err }
