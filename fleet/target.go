package fleet

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// A target is the client and path that a request is for.
type target struct {
	id     string
	path   string // of the request to the client, escaped
	prefix string // of the user's path, before path
}

// target returns the target of a request.
func (p *ReverseProxy) target(r *http.Request) (t target, err error) {
	if p.Domain != "" {
		host := strings.ToLower(r.Host)
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.TrimSuffix(host, ".")
		t.id, _ = strings.CutSuffix(host, "."+strings.ToLower(p.Domain))
		if t.id == host {
			t.id = ""
		}
		t.path = cmp.Or(r.URL.EscapedPath(), "/")
	} else {
		path := r.URL.EscapedPath()
		t.id, _, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		t.path = strings.TrimPrefix(path, "/"+t.id)
		t.prefix = "/" + strings.TrimLeft(before(r)+"/"+t.id, "/")
	}
	return t, CheckID(t.id)
}

// before returns what a handler in front of this one has removed from the path.
func before(r *http.Request) string {
	outside, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return ""
	}
	// Both are escaped in the same way, which may differ from the user's.
	removed, ok := strings.CutSuffix(outside.EscapedPath(), r.URL.EscapedPath())
	if !ok {
		return ""
	}
	return removed
}

// redirect makes the user come again with a slash after the ID.
func (t target) redirect(w http.ResponseWriter, r *http.Request) {
	to := t.id + "/" // relative, so that it fits any place
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusPermanentRedirect)
}

// edit changes informational answers and trailers as the header of an answer is changed:
// httputil removes from that what is about the connection.
func (t target) edit(h http.Header, host string) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
		"Upgrade", "Content-Length", "Transfer-Encoding",
	} {
		h.Del(name)
	}
	t.addPrefix(h, host)
}

// forFront are fields by which an application tells the web server in front of it, such as
// nginx, to serve a file or another page instead, even one that no user may see, or to take the
// application for broken, which here serves other clients too.
var forFront = []string{
	"X-Accel-Redirect", "X-Sendfile", "X-Sendfile2", "X-Lighttpd-Send-File", "X-Lighttpd-Send-Tempfile", "X-Litespeed-Location",
	"X-Reproxy-File", "X-Reproxy-Url",
	"X-Envoy-Immediate-Health-Check-Fail",
}

// addPrefix makes an answer right for the user.
func (t target) addPrefix(h http.Header, host string) {
	for _, name := range forFront {
		h.Del(name)
	}
	t.addPrefixToURL(h, "Location", host)
	if t.prefix == "" {
		return
	}
	for i, line := range h["Set-Cookie"] {
		h["Set-Cookie"][i] = t.addPrefixToCookie(line)
	}
	t.addPrefixToURL(h, "Service-Worker-Allowed", host)
}

// addPrefixToURL makes a field right for the user whose value is a URL. It keeps the first
// value: there should be only one.
func (t target) addPrefixToURL(h http.Header, name, host string) {
	values := h[name]
	if len(values) == 0 {
		return
	}
	if to := t.addPrefixToLocation(values[0], host); to != "" {
		h.Set(name, to)
	} else {
		h.Del(name)
	}
}

// addPrefixToCookie changes nothing but the path: browsers accept more as a cookie than
// net/http reads and writes.
func (t target) addPrefixToCookie(line string) string {
	parts := strings.Split(line, ";")
	for i, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		path := strings.TrimSpace(value)
		if strings.EqualFold(strings.TrimSpace(name), "path") && strings.HasPrefix(path, "/") { // without one it is that of the request
			parts[i+1] = name + "=" + strings.ReplaceAll(t.withPrefix(path), ";", "%3B")
		}
	}
	return strings.Join(parts, ";")
}
