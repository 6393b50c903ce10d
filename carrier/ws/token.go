package ws

import "strings"

// hasToken reports whether one of the values of a header's field, which are lists of tokens,
// has token, in whatever case.
func hasToken(values []string, token string) bool {
	for _, list := range values {
		for one := range strings.SplitSeq(list, ",") {
			if equalASCII(strings.Trim(one, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// equalASCII is [strings.EqualFold], which knows letters beyond ASCII that equal those within.
func equalASCII(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != lower[i] && ('A' > c || c > 'Z' || c|0x20 != lower[i]) {
			return false
		}
	}
	return true
}
