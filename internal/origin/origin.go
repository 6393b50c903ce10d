// Package origin decides which pages may connect.
package origin

import (
	"net/http"
	"net/url"
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
