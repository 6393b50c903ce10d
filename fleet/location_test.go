package fleet_test

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/backdial/backdial/fleet"
)

// In TestProxyRedirectsStayBelow a device redirects to what looks like itself, by URLs that
// browsers read and net/url does not.
func TestProxyRedirectsStayBelow(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy))
	f.connectWeb(t, "123", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Service-Worker-Allowed", r.URL.Query().Get("to"))
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusFound)
	}))
	for to, want := range map[string]string{
		"/../456/":                        "/123/456/",
		"/x/../../456/":                   "/123/456/",
		"/%2e%2E/456/":                    "/123/456/",
		"/123/../456/":                    "/123/456/",
		"/..":                             "/123/",
		"/a/./b/..":                       "/123/a/",
		"/a//../..//b":                    "/123//b",
		"../../456/?q#f":                  "/123/456/?q#f",
		"../456/":                         "../456/", // from /123/dir/page
		"./..//../x":                      "./..//../x",
		"..":                              "..",
		"page/../..":                      "page/../..",
		"page/../../..":                   "/123/",
		`\456\`:                           "/123/456/",
		`..\..\456/?a\b`:                  `/123/456/?a\b`,
		"http:/456/":                      "/123/456/",
		"https:456/":                      "456/",
		"https:../../456/":                "/123/456/",
		`http:\456/`:                      "/123/456/",
		"https://devices.example:443/456": "/123/456",
		"http:///devices.example/456":     "/123/456",
		`http:/\devices.example/456`:      "/123/456",
		"http://devices.example/../456":   "/123/456",
		".\t./../456/":                    "/123/456/",
		"/456/%":                          "", // which net/url does not parse
		"/456/\x01":                       "",
		"https://elsewhere.example/../x":  "https://elsewhere.example/../x",
		`app:\x`:                          `app:\x`,
		"sub/a:b":                         "sub/a:b",
	} {
		answer, _ := f.ask(t, "devices.example", "/123/dir/page?to="+url.QueryEscape(to), nil)
		for _, name := range []string{"Location", "Service-Worker-Allowed"} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s %q becomes %q, want %q", name, to, got, want)
			}
		}
	}
}

// In TestProxyOneRedirect a device sends several redirects. Nobody knows which one a user
// follows.
func TestProxyOneRedirect(t *testing.T) {
	for _, fields := range []string{"Location: /a\r\nLocation: /../456/\r\n", "Location:\r\nLocation: /456/\r\n"} {
		f := newFront(t, new(fleet.ReverseProxy))
		f.connectRaw(t, "1", "HTTP/1.1 302 Found\r\n"+fields+"Content-Length: 0\r\n\r\n")
		answer, _ := f.ask(t, "", "/1/", nil)
		if got := answer.Header["Location"]; len(got) > 1 || len(got) == 1 && got[0] != "/1/a" {
			t.Errorf("%q leads to %q", fields, got)
		}
	}
}

// In FuzzProxyRedirects a client of the standard library follows any redirect.
func FuzzProxyRedirects(f *testing.F) {
	for _, to := range []string{"/../456/", "../../456", "/%2e./456", `\456`, "http:/456", "//devices.example/456"} {
		f.Add(to)
	}
	page, _ := url.Parse("http://devices.example/123/dir/page")
	f.Fuzz(func(t *testing.T, to string) {
		got := fleet.Location("123", "/123", "/dir/page", "devices.example", to)
		next, err := page.Parse(got)
		if err != nil || got == "" {
			return
		}
		if next.Host == page.Host && strings.HasPrefix(next.Scheme, "http") && !strings.HasPrefix(cmp.Or(next.Path, "/")+"/", "/123/") {
			t.Errorf("%q becomes %q, which leads to %s", to, got, next)
		}
	})
}
