package transport

import (
	"errors"
	"log/slog"
	"net"
	"strings"
)

// withErr returns l for a line about err, if there is one: with the reason if it is the end of
// a session, and its text if that says more.
func withErr(l *slog.Logger, err error) *slog.Logger {
	if end, ok := errors.AsType[*endError](err); ok {
		l = l.With("reason", string(end.reason))
		if end.plain {
			return l
		}
	}
	if err != nil {
		l = l.With("err", shownError(err))
	}
	return l
}

// shownError returns err with a text that says which end closed what was used afterwards.
func shownError(err error) error {
	text := strings.ReplaceAll(err.Error(), net.ErrClosed.Error(), "closed by this end")
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}
