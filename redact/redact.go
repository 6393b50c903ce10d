// Package redact makes texts for errors and logs from what others have said: on one line, of
// bounded length, and without the secrets of URLs. Whatever comes from a peer, from a library
// that repeats what its peer said, or from a URL, goes through it first.
//
// It is for carriers, multiplexers and registries, including your own.
package redact

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// MaxText is how many bytes of a peer's text are shown at most. Escaping unprintable bytes
	// takes more than one of them each.
	MaxText = 200

	// MaxError is the same for the text of an error that a peer has influenced.
	MaxError = 300

	// maxLine is the same for a line of a library's log, and for the error of a Dial, which
	// may name several addresses.
	maxLine = 1 << 10

	// maxSearched is how much of a text is searched for secrets. The rest is dropped.
	maxSearched = 8 << 10
)

// Text returns s for showing: cut after [MaxText] bytes, with unprintable bytes escaped as in
// a Go string, and without the secrets of URLs in it.
func Text(s string) string { return show(s, MaxText, nil) }

// Line is [Text] for a line of a library's log, of at most 1 KiB.
func Line(s string) string { return show(s, maxLine, nil) }

// Quote is [Text] in quotation marks.
func Quote(s string) string {
	return `"` + escape(mask(cut(s, maxSearched), nil), MaxText, isPlain) + `"`
}

// Error returns err with a text for showing, of at most [MaxError] bytes. It wraps err, or is
// err if there is nothing to change.
func Error(err error) error { return shown(err, MaxError, nil) }

func shown(err error, most int, secrets []string) error {
	if err == nil {
		return nil
	}
	was := err.Error()
	if text := show(was, most, secrets); text != was {
		return &shownError{text, err}
	}
	return err
}

type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

func show(s string, most int, secrets []string) string {
	return escape(mask(cut(s, maxSearched), secrets), most, strconv.IsPrint)
}

// cut returns the first bytes of s, with a mark if there are more.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for i := range utf8.UTFMax { // not in the middle of a character
		if utf8.RuneStart(s[most-i]) {
			most -= i
			break
		}
	}
	return s[:most] + "…"
}

// escape returns s with every character escaped as in a Go string, except those for which
// stays returns true. The result has at most so many bytes, and a mark if there would be more.
func escape(s string, most int, stays func(rune) bool) string {
	escaped := func(r rune) bool { return r == utf8.RuneError || !stays(r) }
	if len(s) <= most && strings.IndexFunc(s, escaped) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		shown := s[:size]
		if !stays(r) || r == utf8.RuneError && size == 1 {
			quoted := strconv.Quote(shown)
			shown = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(shown) > most {
			b.WriteString("…")
			break
		}
		b.WriteString(shown)
		s = s[size:]
	}
	return b.String()
}

// isPlain reports whether r is the same in quotation marks.
func isPlain(r rune) bool { return strconv.IsPrint(r) && r != '"' && r != '\\' }
