package redact

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// hidden replaces a secret.
const hidden = "xxxxx"

// URL returns u without its user and password, either of which may be a token, and without its
// query and fragment, which may contain tokens.
func URL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.Opaque != "" || u.Host == "" && strings.Contains(u.Path, "@") {
		shown.Opaque = "…" // such as user:password@host without the //
	}
	if u.User != nil {
		shown.User = url.User(hidden)
	}
	return cut(shown.String(), MaxText)
}

// Address is [URL] for an address that has not been parsed.
func Address(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "…"
	}
	return URL(u)
}

// Parse is [url.Parse] with an error that shows nothing of the address.
func Parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err == nil {
		return u, nil
	}
	why := "malformed"
	if e, ok := errors.AsType[*url.Error](err); ok {
		// The error repeats parts of the address in quotation marks, after the name of a
		// function of package netip.
		why, _, _ = strings.Cut(e.Err.Error(), `"`)
		why = strings.TrimSuffix(why, ": ParseAddr(")
		why = strings.TrimSpace(strings.TrimPrefix(why, "net/url:"))
	}
	return nil, fmt.Errorf("%s (it is not shown, because it may hold a secret; are its user and password escaped?)", why)
}

// Dial returns the error of a carrier that dialled u with header, without their secrets, which
// the server may have repeated.
func Dial(carrier string, u *url.URL, header http.Header, err error) error {
	return fmt.Errorf("%s: dial %s: %w", carrier, URL(u), shown(err, maxLine, secretsOf(u, header)))
}

// minSecret is how long a secret must be to be searched for: shorter ones occur in many texts
// by chance.
const minSecret = 4

// secretsOf returns the secrets in a request, the longest first.
func secretsOf(u *url.URL, header http.Header) []string {
	secrets := []string{u.RawQuery, u.User.Username()}
	password, _ := u.User.Password()
	secrets = append(secrets, password)
	for _, values := range u.Query() {
		secrets = append(secrets, values...)
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		for _, value := range header.Values(name) {
			secrets = append(secrets, value)
			if _, credentials, ok := strings.Cut(value, " "); ok {
				secrets = append(secrets, credentials)
			}
		}
	}
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return len(s) < minSecret })
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return secrets
}

// mask returns s without secrets, and without those of URLs in it.
func mask(s string, secrets []string) string {
	for _, secret := range secrets {
		s = strings.ReplaceAll(s, secret, hidden)
	}
	if !strings.ContainsAny(s, "@?#") {
		return s
	}
	var masked strings.Builder
	for {
		i := strings.IndexAny(s, wordEnds)
		if i < 0 {
			return masked.String() + maskWord(s)
		}
		masked.WriteString(maskWord(s[:i]) + s[i:i+1])
		s = s[i+1:]
	}
}

// wordEnds are what stands before and after a URL, or a part of it, in a text. Regular
// expressions would make the programs of devices 240 KB larger.
const wordEnds = "\t\n\f\r \"'<>"

// maskWord hides what would be the user, the query and the fragment if w was a URL, or a part
// of one.
func maskWord(w string) string {
	begin := 0
	if i := strings.Index(w, "//"); i >= 0 {
		begin = i + len("//")
	}
	if at := strings.LastIndex(w, "@"); at > begin && (begin > 0 || strings.Contains(w[:at], ":")) {
		w = w[:begin] + hidden + w[at:]
	}
	if i := strings.IndexAny(w, "?#"); i >= 0 && (begin > 0 || strings.Contains(w[i:], "=")) {
		w = w[:i+1] + "…"
	}
	return w
}
