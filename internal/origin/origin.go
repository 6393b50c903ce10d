// Package origin decides which pages may connect.
package origin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Same reports whether r comes from a page of the host that it is for, or from no page at all.
func Same(r *http.Request) bool {
	origin := r.Header["Origin"]
	if len(origin) == 0 {
		return true
	}
	u, err := url.Parse(origin[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// Among returns a function that accepts pages of these origins too. They match exactly.
func Among(origins []string) func(*http.Request) bool {
	origins = slices.Clone(origins)
	return func(r *http.Request) bool {
		return Same(r) || slices.Contains(origins, r.Header.Get("Origin"))
	}
}
