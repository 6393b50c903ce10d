// Package redact shows URLs in error texts and logs without what is secret in
// them.
package redact

import (
	"net/url"
	"strings"
)

// URL returns u without its password and without its query, in which tokens
// travel.
func URL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.Opaque != "" || u.Host == "" && strings.Contains(u.Path, "@") {
		shown.Opaque = "…" // such as user:password@host, when // was forgotten
	}
	if u.User != nil {
		shown.User = url.User(u.User.Username())
		if _, ok := u.User.Password(); ok {
			shown.User = url.UserPassword(u.User.Username(), "xxxxx")
		}
	}
	return shown.String()
}
