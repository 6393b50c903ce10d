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

// An EndReason is why a session has ended, in one word, which logs and metrics have too.
// It is an error, so that [errors.Is] finds it in those of [Dialer.Err], [Listener.Err] and
// [Trace.ClientGone]; [EndReasonOf] returns it.
type EndReason string

// The reasons. Those that one end chooses are told to the other, unless nothing was
// negotiated: then the client has EndClosedByPeer instead.
const (
	// EndMoved: the client has moved to another session, as its server had asked.
	EndMoved EndReason = "moved"

	// EndTooOld: the session has reached the age of [WithMaxAge], and the client had not
	// moved.
	EndTooOld EndReason = "too_old"

	// EndShutdown: one of the ends has shut down ([Server.Shutdown], [Dialer.Shutdown],
	// [Listener.Shutdown]), and the client had not moved.
	EndShutdown EndReason = "shutdown"

	// EndReplaced: the client has a newer session, as package fleet says.
	EndReplaced EndReason = "replaced"

	// EndKicked: the server's program has thrown the client out, by fleet.Fleet.Kick for
	// instance.
	EndKicked EndReason = "kicked"

	// EndRefused: the client was connected before it was known that it is not to be. On a
	// client it is also that its server has sent it away, and [ErrAlreadyConnected].
	EndRefused EndReason = "refused"

	// EndClosed: this end has called Close, and given no other reason.
	EndClosed EndReason = "closed"

	// EndClosedByPeer: the other end has done that.
	EndClosedByPeer EndReason = "closed_by_peer"

	// EndSilent: the other end gave no sign of life ([WithKeepAlive]), or did not answer
	// while it was asked to move. The error matches mux.ErrSilent.
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

// EndReasons returns all reasons that there are.
func EndReasons() []EndReason { return slices.Clone(endReasons) }

// Error returns the word.
func (r EndReason) Error() string { return string(r) }

// isTold reports whether a server may tell its client that r is why the session ends.
func (r EndReason) isTold() bool {
	switch r {
	case EndTooOld, EndShutdown, EndReplaced, EndKicked, EndRefused:
		return true
	}
	return false
}

// EndReasonOf returns why a session, or a listener, has ended with err, or "" if err is
// nil.
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

// namedReason returns the reason that is in err, or "".
func namedReason(err error) EndReason {
	if r, ok := errors.AsType[EndReason](err); ok && slices.Contains(endReasons, r) {
		return r
	}
	return ""
}

// isClosedHere reports whether err is that of a session which this end has closed. One that
// has ended otherwise may have any cause.
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

// closedHere is the error of a session or listener that this end has closed, or is closing,
// because of why, which may be nil. cause is the multiplexer's, and matches net.ErrClosed.
// That is not shown, because it tells nothing.
func closedHere(why, cause error) error {
	const text = "closed by this end"
	if why == nil {
		return &endError{EndClosed, text, []error{cause}, true}
	}
	reason := cmp.Or(namedReason(why), EndClosed)
	return &endError{reason, text + ": " + words(why), []error{why, cause}, why == error(reason)}
}

// endedOtherwise is the error of a session that the peer has closed, perhaps because of what
// it has told, or that was lost. cause is the multiplexer's.
func endedOtherwise(told, cause error) error {
	text := cause.Error()
	// The peer's own words are in front of this, if it has said any.
	plain := strings.HasSuffix(text, ": "+mux.ErrClosedByPeer.Error())
	if told == nil {
		return &endError{EndReasonOf(cause), text, []error{cause}, plain}
	}
	reason := cmp.Or(namedReason(told), EndClosedByPeer)
	return &endError{reason, words(told) + ": " + text, []error{told, cause}, plain && told == error(reason)}
}

// words is the text of err, which may be a reason.
func words(err error) string {
	if r, ok := err.(EndReason); ok {
		return strings.ReplaceAll(string(r), "_", " ")
	}
	return redact.Error(err).Error()
}

// A ClosedError is matched by the error of a session that its server has closed for a
// reason that it gave ([Dialer.CloseWithReason]): that of [Listener.Accept] and
// [Listener.Err], and what [WithRetry] and a [Trace] are told.
type ClosedError struct {
	// Reason is text for people, of 256 bytes at most. The server chose it.
	Reason string

	// End is the reason in one word, such as [EndKicked], or "" if it is in none.
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
