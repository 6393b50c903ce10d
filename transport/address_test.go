package transport

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/backdial/backdial/redact"
)

// FuzzURL dials any URL. No text may show its secrets.
func FuzzURL(f *testing.F) {
	f.Fuzz(func(t *testing.T, address string) {
		u, err := parseURL(address)
		if err != nil {
			if !errors.Is(err, errURL) || Retryable(err) {
				t.Errorf("error %v, want one that will not change", err)
			}
			if !slices.Contains(whyInvalid, err.Error()) {
				t.Errorf("%v, which may show something of %q", err, address)
			}
			return
		}
		shown := redact.URL(u)
		if other := redact.URL(withOtherSecrets(u)); shown != other {
			t.Errorf("shown as %s, but as %s with other secrets", shown, other)
		}
		if u.Host == "" && u.User == nil && strings.Contains(shown, "@") {
			t.Errorf("shown as %s, which may be a password of a URL with // forgotten", shown)
		}
	})
}

// whyInvalid is all that errors say of URLs that cannot be parsed.
var whyInvalid = func() (all []string) {
	for _, why := range []string{
		"invalid URL escape", "invalid character", "missing protocol scheme", "invalid control character in URL",
		"first path segment in URL cannot contain colon", "invalid userinfo", "invalid IP-literal", "missing ']' in host",
		"invalid port", "invalid host", "invalid host: invalid character", "invalid host: invalid URL escape",
	} {
		all = append(all, fmt.Sprintf("%v: %s (it is not shown, because it may hold a secret; are its user and password escaped?)", errURL, why))
	}
	return all
}()

// withOtherSecrets returns u as it would be if what is secret in it was something
// else.
func withOtherSecrets(u *url.URL) *url.URL {
	const secret = "another"
	other := *u
	if u.User != nil {
		other.User = url.UserPassword(secret, secret)
	}
	if u.Opaque != "" {
		other.Opaque = secret
	}
	other.RawQuery, other.Fragment, other.RawFragment = secret, secret, ""
	return &other
}

// FuzzListenAddress listens on any address. It gets the port of the first socket if it leaves
// the port open, and nothing else changes.
func FuzzListenAddress(f *testing.F) {
	f.Fuzz(func(t *testing.T, addr string, port uint16) {
		host, _, err := net.SplitHostPort(addr)
		for _, bound := range []net.Addr{&net.TCPAddr{Port: int(port)}, &net.UDPAddr{Port: int(port)}} {
			got := withPortOf(addr, bound)
			if got != addr {
				gotHost, gotPort, gotErr := net.SplitHostPort(got)
				if err != nil || gotErr != nil || gotHost != host {
					t.Errorf("%q becomes %q", addr, got)
				}
				if port != 0 && (hasOpenPort(got) || gotPort == "") {
					t.Errorf("%q leaves the port as open as %q", got, addr)
				}
			}
			if hasOpenPort(addr) && got == addr && port != 0 {
				t.Errorf("%q does not get port %d", addr, port)
			}
			if again := withPortOf(got, bound); again != got {
				t.Errorf("%q becomes %q, then %q", addr, got, again)
			}
		}
	})
}
