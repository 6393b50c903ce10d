package redact

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
)

// Logger returns a logger for a library that writes lines with what its peer said in them.
// Each line becomes a message of l.
func Logger(l *slog.Logger, level slog.Level) *log.Logger {
	return log.New(&lines{l, level}, "", 0)
}

type lines struct {
	to    *slog.Logger
	level slog.Level
}

func (l *lines) Write(line []byte) (int, error) {
	ctx := context.Background()
	if !l.to.Enabled(ctx, l.level) {
		return len(line), nil
	}
	message, attrs := string(bytes.TrimSpace(line)), []any(nil)
	if strings.HasPrefix(message, "http: panic serving ") { // a stack follows
		var stack string
		message, stack, _ = strings.Cut(message, "\n")
		attrs = []any{"stack", stack}
	}
	l.to.Log(ctx, l.level, Line(message), attrs...)
	return len(line), nil
}
