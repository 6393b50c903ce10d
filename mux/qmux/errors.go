package qmux

import (
	"fmt"
	"net"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
)

// Codes of streams whose user gives none.
const (
	codeClosed  = 0 // its user closed it, having read enough
	codeRefused = 1 // not accepted, not read, or reset by its user
)

// resetByPeer is the error of a direction of a stream that the peer ended with a code.
func resetByPeer(code uint64) error { return fmt.Errorf("qmux: %w", &mux.ResetError{Code: code}) }

// A ConnectionError is what a CONNECTION_CLOSE frame says (RFC 9000, section 19.19). It
// is part of the cause of its session's end.
type ConnectionError struct {
	// Remote says that the peer sent the frame. Otherwise this end did, because the peer
	// broke the protocol: the error then matches [mux.ErrProtocol].
	Remote bool

	// Application says that Code is the application's. Otherwise Code is from RFC 9000,
	// section 20.1.
	Application bool

	Code   uint64
	Reason string

	frame frameType // the offending one, or 0
}

func (e *ConnectionError) Error() string {
	who, what := "", "error"
	if e.Remote {
		who = "peer reports "
	}
	if e.Application {
		what = "application error"
	}
	reason := redact.Quote(e.Reason)
	if name := codeNames[e.Code]; name != "" && !e.Application {
		return fmt.Sprintf("%s%s: %s", who, name, reason)
	}
	return fmt.Sprintf("%s%s %#x: %s", who, what, e.Code, reason)
}

// Is reports whether target is [mux.ErrProtocol] and this end sent the frame.
func (e *ConnectionError) Is(target error) bool { return target == mux.ErrProtocol && !e.Remote }

// Transport error codes (RFC 9000, section 20.1).
const (
	noError                 = 0x0
	flowControlError        = 0x3
	streamLimitError        = 0x4
	streamStateError        = 0x5
	finalSizeError          = 0x6
	frameEncodingError      = 0x7
	transportParameterError = 0x8
	protocolViolation       = 0xa
)

var codeNames = map[uint64]string{
	noError:                 "NO_ERROR",
	flowControlError:        "FLOW_CONTROL_ERROR",
	streamLimitError:        "STREAM_LIMIT_ERROR",
	streamStateError:        "STREAM_STATE_ERROR",
	finalSizeError:          "FINAL_SIZE_ERROR",
	frameEncodingError:      "FRAME_ENCODING_ERROR",
	transportParameterError: "TRANSPORT_PARAMETER_ERROR",
	protocolViolation:       "PROTOCOL_VIOLATION",
}

// violation is the error of a peer that broke the protocol with a frame of type frame.
func violation(code uint64, frame frameType, format string, args ...any) error {
	return &ConnectionError{Code: code, Reason: fmt.Sprintf(format, args...), frame: frame}
}

var (
	errStreamClosed     = fmt.Errorf("qmux: stream: %w", net.ErrClosed)
	errStreamReset      = fmt.Errorf("qmux: stream: reset by this end: %w", net.ErrClosed)
	errStreamHalfClosed = fmt.Errorf("qmux: stream: write after CloseWrite: %w", net.ErrClosed)
)

// closedByPeer is the cause of the end of a session that the peer ended with a frame.
func closedByPeer(e *ConnectionError) error {
	switch {
	case !e.Application:
		return e
	case e.Code == 0 && e.Reason == "":
		return mux.ErrClosedByPeer
	}
	return closeError{e}
}

// A closeError is a ConnectionError of a peer that closed the session on purpose.
type closeError struct{ *ConnectionError }

func (e closeError) Unwrap() []error { return []error{mux.ErrClosedByPeer, e.ConnectionError} }
