package natsserver

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/backdial/backdial/redact"
)

// A logger passes on what a server reports, and keeps it from ending the program.
type logger struct {
	log     *slog.Logger
	expects string     // a message with this prefix is not fatal; "" is none
	fatal   chan error // has room for the first
}

func newLogger(log *slog.Logger, name string) *logger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &logger{log: log.With("server", name), fatal: make(chan error, 1)}
}

func (l *logger) say(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "natsserver: "+redact.Line(strings.TrimSpace(fmt.Sprintf(format, v...))))
	}
}

func (l *logger) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *logger) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *logger) Tracef(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *logger) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *logger) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }

// Fatalf makes Start fail, unless the message is expected.
func (l *logger) Fatalf(format string, v ...any) {
	if l.expects != "" && strings.HasPrefix(format, l.expects) {
		return
	}
	l.say(slog.LevelError, format, v)
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default:
	}
}
