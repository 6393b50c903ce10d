// Package testlog reads logs in tests.
package testlog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"unicode"
)

// A Log holds what was logged, at any level. The zero value is empty.
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

// Logger returns a logger that writes to the log, as text.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Plain returns a logger that writes messages unchanged, one line each, as trusting
// handlers do. It leaves out stacks, which have lines of their own.
func (l *Log) Plain() *slog.Logger { return slog.New(plain{log: l}) }

type plain struct {
	log   *Log
	attrs []slog.Attr
}

func (plain) Enabled(context.Context, slog.Level) bool { return true }
func (p plain) WithGroup(string) slog.Handler          { return p }
func (p plain) WithAttrs(attrs []slog.Attr) slog.Handler {
	return plain{p.log, append(p.attrs[:len(p.attrs):len(p.attrs)], attrs...)}
}

func (p plain) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	line.WriteString(r.Message)
	note := func(a slog.Attr) bool {
		if a.Key == "stack" {
			return true
		}
		fmt.Fprint(&line, " ", a.Key, "=", a.Value)
		return true
	}
	for _, a := range p.attrs {
		note(a)
	}
	r.Attrs(note)
	_, err := fmt.Fprintln(p.log, line.String())
	return err
}

// Reset forgets what was logged.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

// String returns everything that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// maxLine is the longest line that people read.
const maxLine = 2000

// Harm says what is wrong with a line of a log, or with the text of an error, or returns
// "".
func Harm(line string) string {
	if len(line) > maxLine {
		return fmt.Sprintf("%d bytes long: %.100q", len(line), line)
	}
	// The replacement character stands for bytes that are not UTF-8.
	if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }); i >= 0 {
		return fmt.Sprintf("unprintable at %d: %.1000q", i, line)
	}
	return ""
}

// Has reports whether text was logged.
func (l *Log) Has(text string) bool { return l.Count(text) > 0 }

// Count returns how often text was logged.
func (l *Log) Count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}
