package transport

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
)

// An EndReason is why a session has ended, in one word, which logs and metrics use too. It is
// an error, so [errors.Is] finds it in the errors of [Dialer.Err], [Listener.Err] and
// [Trace.ClientGone], and [EndReasonOf] returns it.
type EndReason string

// The reasons. An end that chooses one tells it to the other, unless they did not negotiate:
// then the client has EndClosedByPeer instead.
const (
	// EndMoved: the client has moved to another session, because its server asked it to.
	EndMoved EndReason = "moved"

	// EndTooOld: the session has reached the age of [WithMaxAge], and the client had not
	// moved.
	EndTooOld EndReason = "too_old"

	// EndShutdown: one end has shut down ([Server.Shutdown], [Dialer.Shutdown],
	// [Listener.Shutdown]), and the client had not moved.
	EndShutdown EndReason = "shutdown"

	// EndReplaced: the client has a newer session, as package fleet says.
	EndReplaced EndReason = "replaced"

	// EndKicked: the server's program has closed the client's session, with fleet.Fleet.Kick
	// for instance.
	EndKicked EndReason = "kicked"

	// EndRefused: the server refused the client after it had connected. On a client it also
	// means that its server has sent it away, and [ErrAlreadyConnected].
	EndRefused EndReason = "refused"

	// EndClosed: this end has called Close without another reason.
	EndClosed EndReason = "closed"

	// EndClosedByPeer: the other end has called Close.
	EndClosedByPeer EndReason = "closed_by_peer"

	// EndSilent: the other end gave no sign of life ([WithKeepAlive]), or did not answer when
	// it was asked to move. The error matches mux.ErrSilent.
	EndSilent EndReason = "silent"

	// EndLost: the connection has failed. The error tells how.
	EndLost EndReason = "lost"

	// EndProtocol: the other end broke the protocol, or exceeded a limit. The error matches
	// mux.ErrProtocol.
	EndProtocol EndReason = "protocol"
)

var endReasons = []EndReason{
	EndMoved, EndTooOld, EndShutdown, EndReplaced, EndKicked, EndRefused,
	EndClosed, EndClosedByPeer, EndSilent, EndLost, EndProtocol,
}

// EndReasons returns all reasons.
func EndReasons() []EndReason { return slices.Clone(endReasons) }

// Error returns the word.
func (r EndReason) Error() string { return string(r) }

// isTold reports whether a server may tell its client that r is the reason.
func (r EndReason) isTold() bool {
	switch r {
	case EndTooOld, EndShutdown, EndReplaced, EndKicked, EndRefused:
		return true
	}
	return false
}

// EndReasonOf returns why a session or a listener has ended with err, or "" if err is nil.
func EndReasonOf(err error) EndReason {
	switch {
	case err == nil:
		return ""
	case namedReason(err) != "":
		return namedReason(err)
	case errors.Is(err, mux.ErrSilent):
		return EndSilent
	case errors.Is(err, mux.ErrProtocol):
		return EndProtocol
	case isRefused(err), len(rejections(err)) > 0:
		return EndRefused
	case errors.Is(err, mux.ErrClosedByPeer):
		return EndClosedByPeer
	case isClosedHere(err):
		return EndClosed
	}
	return EndLost
}

// namedReason returns the reason in err, or "".
func namedReason(err error) EndReason {
	if r, ok := errors.AsType[EndReason](err); ok && slices.Contains(endReasons, r) {
		return r
	}
	return ""
}

// isClosedHere reports whether err is the error of a session that this end has closed. A
// session that ended otherwise may have any cause.
func isClosedHere(err error) bool {
	return errors.Is(err, net.ErrClosed) && !errors.Is(err, mux.ErrSessionEnded)
}

// An endError is why a session has ended.
type endError struct {
	reason EndReason
	text   string
	causes []error
	plain  bool // the text says no more than the reason
}

func (e *endError) Error() string { return e.text }

func (e *endError) Unwrap() []error { return append([]error{e.reason}, e.causes...) }

// closedHere returns the error of a session or listener that this end closes because of why,
// which may be nil. cause is the multiplexer's error, which matches net.ErrClosed; the text
// leaves it out, because it tells nothing.
func closedHere(why, cause error) error {
	const text = "closed by this end"
	if why == nil {
		return &endError{EndClosed, text, []error{cause}, true}
	}
	reason := cmp.Or(namedReason(why), EndClosed)
	return &endError{reason, text + ": " + words(why), []error{why, cause}, why == error(reason)}
}

// endedOtherwise returns the error of a session that the peer has closed, perhaps with the
// reason told, or that was lost. cause is the multiplexer's error.
func endedOtherwise(told, cause error) error {
	text := cause.Error()
	// Text of the peer's own would be in front of this.
	plain := strings.HasSuffix(text, ": "+mux.ErrClosedByPeer.Error())
	if told == nil {
		return &endError{EndReasonOf(cause), text, []error{cause}, plain}
	}
	reason := cmp.Or(namedReason(told), EndClosedByPeer)
	return &endError{reason, words(told) + ": " + text, []error{told, cause}, plain && told == error(reason)}
}

// words returns the text of err, which may be a reason.
func words(err error) string {
	if r, ok := err.(EndReason); ok {
		return strings.ReplaceAll(string(r), "_", " ")
	}
	return redact.Error(err).Error()
}

// A ClosedError means that the server has closed a session with a reason
// ([Dialer.CloseWithReason]). It is matched by the errors of [Listener.Accept] and
// [Listener.Err], and by those that [WithRetry] and a [Trace] get.
type ClosedError struct {
	// Reason is text for people, of at most 256 bytes. The server chose it.
	Reason string

	// End is the reason in one word, such as [EndKicked], or "" if the server gave none.
	End EndReason
}

func (e *ClosedError) Error() string {
	return fmt.Sprintf("closed by the server: %s", redact.Quote(e.Reason))
}

// Unwrap returns End, for [EndReasonOf].
func (e *ClosedError) Unwrap() error {
	if e.End == "" {
		return nil
	}
	return e.End
}
