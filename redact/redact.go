// Package redact makes texts of errors and logs of what others have said: on one line, of
// bounded length, and without what is secret in URLs. Whatever comes from a peer, from a
// library that repeats what its peer said, or from a URL, goes through it before it is a
// part of such a text.
//
// It is for carriers, multiplexers and registries, yours among them.
package redact

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// MaxText is how many bytes show a peer's text at most. What is unprintable is escaped,
	// and takes more of them than it had.
	MaxText = 200

	// MaxError is the same for the text of an error that a peer has a say in.
	MaxError = 300

	// maxLine is the same for a library's line of a log, and for the error of a Dial: of
	// several addresses, for instance.
	maxLine = 1 << 10

	// maxSearched is how much of a text is searched for secrets. The rest is dropped.
	maxSearched = 8 << 10
)

// Text returns s as it may be shown: cut after [MaxText] bytes, with what is unprintable
// escaped as in a Go string, and without the secrets of URLs that are in it.
func Text(s string) string { return show(s, MaxText, nil) }

// Line is [Text] for a line of a library's log, of 1 KiB at most.
func Line(s string) string { return show(s, maxLine, nil) }

// Quote is [Text] in quotation marks.
func Quote(s string) string {
	return `"` + escape(mask(cut(s, maxSearched), nil), MaxText, isPlain) + `"`
}

// Error returns err with a text that may be shown, of [MaxError] bytes at most. It wraps
// err, or is err if there is nothing to change.
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

// cut returns the first bytes of s, and says if there are more.
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

// escape returns s with all but the characters that stay escaped as in a Go string. The result
// has so many bytes at most, and then says if there are more.
func escape(s string, most int, stays func(rune) bool) string {
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

// isPlain reports whether r is the same within quotation marks.
func isPlain(r rune) bool { return strconv.IsPrint(r) && r != '"' && r != '\\' }
