package transport

import (
	"errors"
	"log/slog"
	"net"
	"strings"
)

// withErr returns l for a line that tells of err, if there is one: by its reason if it is
// the end of a session, and its text if that says more.
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

// shownError returns err with a text that says who has closed what was used after that.
func shownError(err error) error {
	text := strings.ReplaceAll(err.Error(), net.ErrClosed.Error(), "closed by this end")
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// log returns the logger for lines of a client about what its lane is at, with the latest
// session that it had.
func (ln *lane) log() *slog.Logger {
	l := ln.life.config.logger
	if s := ln.latest(); s != nil {
		l = l.With("session", s.info.Session)
	}
	return l
}

// logPause tells of a pause before the next attempt.
func (ln *lane) logPause(change StateChange) {
	log := ln.log().With("in", change.Wait)
	if change.Err == nil {
		log.Info("backdial: moving to another session, as the server asks")
		return
	}
	log = log.With("attempt", ln.tries+1)
	if change.Refused > 0 {
		withErr(log.With("refused", change.Refused), change.Err).Warn("backdial: refused, connecting again")
		return
	}
	withErr(log, change.Err).Info("backdial: connecting again")
}
