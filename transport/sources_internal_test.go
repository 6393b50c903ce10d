package transport

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestSourceOf(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		name, remote string
		forwarded    []string
		prefix       int
		want         string // "" for none
	}{
		{"IPv4", "192.0.2.1:1234", nil, 64, "192.0.2.1/32"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:1234", nil, 64, "192.0.2.1/32"},
		{"IPv6", "[2001:db8:1:2:3:4:5:6]:1234", nil, 64, "2001:db8:1:2::/64"},
		{"IPv6, another prefix", "[2001:db8:1:2:3:4:5:6]:1234", nil, 48, "2001:db8:1::/48"},
		{"IPv6 with a zone", "[fe80::1%eth0]:1234", nil, 128, "fe80::1/128"},
		{"no port", "192.0.2.1", nil, 64, "192.0.2.1/32"},
		{"no IP address", "pipe", []string{"192.0.2.1"}, 64, ""},
		{"a stranger's header", "192.0.2.1:1234", []string{"198.51.100.1"}, 64, "192.0.2.1/32"},
		{"a proxy", "10.0.0.1:1234", []string{"198.51.100.1"}, 64, "198.51.100.1/32"},
		{"a proxy in IPv6", "[fd00::1]:1234", []string{"[2001:db8::1]:99"}, 64, "2001:db8::/64"},
		{"a proxy that was lied to", "10.0.0.1:1234", []string{"203.0.113.1, 203.0.113.2, 198.51.100.1"}, 64, "198.51.100.1/32"},
		{"two proxies", "10.0.0.1:1234", []string{"203.0.113.1", "198.51.100.1:80,10.0.0.2"}, 64, "198.51.100.1/32"},
		{"a proxy that does not say", "10.0.0.1:1234", nil, 64, "10.0.0.1/32"},
		{"nothing but proxies", "10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, 64, "10.0.0.3/32"},
		{"no address", "10.0.0.1:1234", []string{"198.51.100.1, unknown"}, 64, "10.0.0.1/32"},
		{"a comma too many", "10.0.0.1:1234", []string{"198.51.100.1,"}, 64, "10.0.0.1/32"},
		{"an empty field", "10.0.0.1:1234", []string{"198.51.100.1", ""}, 64, "198.51.100.1/32"},
	} {
		l := AddressLimits{Sessions: 1, IPv6Prefix: test.prefix, TrustedProxies: proxies}
		from := l.sourceOf(&http.Request{RemoteAddr: test.remote, Header: http.Header{"X-Forwarded-For": test.forwarded}})
		if got := from.String(); got != test.want && (from.IsValid() || test.want != "") {
			t.Errorf("%s: source %s, want %s", test.name, got, test.want)
		}
	}
	if from := new(AddressLimits).sourceOf(&http.Request{RemoteAddr: "192.0.2.1:1234"}); from.IsValid() {
		t.Errorf("source %s without a limit", from)
	}
}

// TestUsageIsForgotten expects nothing to remain of clients that are gone.
func TestUsageIsForgotten(t *testing.T) {
	s := NewServer(nil)
	s.init()
	from := netip.MustParsePrefix("192.0.2.1/32")
	s.useLocked(from, 1, 0)
	s.useLocked(from, 0, 1)
	s.useLocked(from, -1, -1)
	s.useLocked(source{}, 1, 1)
	if len(s.usage) > 0 {
		t.Errorf("%v is left", s.usage)
	}
}
