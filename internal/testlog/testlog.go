// Package testlog is what a test reads of a log.
package testlog

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// A Log is what was logged, of any level. The zero value is empty.
type Log struct {
	mu   sync.Mutex // guards below
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Logger returns one that writes to the log, as text.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Has reports whether text was logged.
func (l *Log) Has(text string) bool { return l.Count(text) > 0 }

// Count returns how often text was logged.
func (l *Log) Count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}
