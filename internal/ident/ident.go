// Package ident says what can be the ID of a client or a server.
package ident

// MaxLength is how many bytes an ID may have.
const MaxLength = 128

// Rule says what an ID is, for errors.
const Rule = "an ID is 1 to 128 letters, digits and any of -._~, and does not begin or end with a dot"

// Valid reports whether id can be an ID: 1 to 128 of the characters that RFC 3986,
// section 2.3, calls unreserved, with no dot at either end. Such an ID is the same as
// a host in a URL, as a segment of a path, in a list in a header and in a log.
func Valid(id string) bool {
	if id == "" || len(id) > MaxLength || id[0] == '.' || id[len(id)-1] == '.' {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}
