package fleet

import (
	"cmp"
	"net/url"
	"strings"
)

// addPrefixToLocation makes a redirect right for the user: a path of the client's gets the
// prefix, and loses the scheme, which the client does not know. It returns "" for what may
// lead anywhere, because browsers accept more as a URL than net/url does.
func (t target) addPrefixToLocation(location, host string) string {
	if t.prefix != "" {
		location = asBrowsersRead(location)
	}
	to, err := url.Parse(location)
	if err != nil && t.prefix != "" {
		return ""
	}
	if err != nil || !t.isOwn(to, host) {
		return location
	}
	path := to.EscapedPath()
	if to.Host != "" {
		path = cmp.Or(path, "/")
	}
	if t.prefix != "" {
		inside, ok := t.below(path)
		if ok && !strings.HasPrefix(path, "/") {
			return location // relative, so that it fits any place
		}
		path = inside
	}
	to.Scheme, to.Host, to.User = "", "", nil
	to.RawPath = t.withPrefix(path)
	to.Path, _ = url.PathUnescape(to.RawPath)
	if strings.HasPrefix(to.RawPath, "//") { // a browser would take it for a host
		to.Host = host
	}
	return to.String()
}

// withPrefix adds the prefix to a path, unless the client knows X-Forwarded-Prefix and has
// added it itself.
func (t target) withPrefix(path string) string {
	if rest, ok := strings.CutPrefix(path, t.prefix); ok && t.prefix != "" && (rest == "" || rest[0] == '/') {
		return path
	}
	return t.prefix + path
}

// isOwn reports whether a client that redirects to this URL means a path of its own.
func (t target) isOwn(to *url.URL, host string) bool {
	switch {
	case to.Host == "": // with a scheme it is for an app of the user's
		return to.Scheme == "" && (strings.HasPrefix(to.Path, "/") || t.prefix != "" && to.Path != "")
	case to.Scheme != "" && to.Scheme != "http" && to.Scheme != "https":
		return false
	}
	return strings.EqualFold(withoutPort(to.Host), withoutPort(host)) || strings.EqualFold(to.Hostname(), t.id)
}

// withoutPort removes a port that browsers leave out.
func withoutPort(host string) string {
	return strings.TrimSuffix(strings.TrimSuffix(host, ":80"), ":443")
}

// asBrowsersRead returns a URL as browsers take it where net/url sees something else
// (https://url.spec.whatwg.org/#url-parsing): they skip some characters, know no backslash,
// and "https:/a" is a path if the page has that scheme, too.
func asBrowsersRead(location string) string {
	location = strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	location = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(location)
	scheme, rest, ok := strings.Cut(location, ":")
	if ok = ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")); !ok {
		if u, err := url.Parse(location); err == nil && u.Scheme != "" { // an app's
			return location
		}
		scheme, rest = "", location
	}
	end := strings.IndexAny(rest, "?#")
	if end < 0 {
		end = len(rest)
	}
	rest = strings.ReplaceAll(rest[:end], `\`, "/") + rest[end:]
	if ok && strings.HasPrefix(rest, "//") {
		return scheme + "://" + strings.TrimLeft(rest, "/")
	}
	return rest
}

// below returns the path that a link to path leads to from the page that was asked for, as
// the client sees it. It does not go above the client's root; below reports false for a link
// that would.
func (t target) below(path string) (inside string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		path = t.path[:strings.LastIndexByte(t.path, '/')+1] + path
	}
	ok = true
	var segments []string
	all := strings.Split(path[1:], "/")
	for i, s := range all {
		switch strings.ReplaceAll(strings.ToLower(s), "%2e", ".") { // as in browsers
		case "..":
			ok = ok && len(segments) > 0
			segments = segments[:max(len(segments)-1, 0)]
		case ".":
		default:
			segments = append(segments, s)
			continue
		}
		if i == len(all)-1 {
			segments = append(segments, "")
		}
	}
	return "/" + strings.Join(segments, "/"), ok
}
