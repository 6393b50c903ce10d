package fleet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// A front is what users see: a proxy on a real socket.
type front struct {
	*site
	*httptest.Server
	logged syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newFront(t *testing.T, p *fleet.ReverseProxy, opts ...fleet.Option) *front {
	t.Helper()
	leak.Check(t)
	f := &front{site: newSite(t, opts...)}
	p.Fleet, p.Logger = f.site.Fleet, slog.New(slog.NewTextHandler(&f.logged, nil))
	mux := http.NewServeMux()
	mux.Handle("/", p)
	mux.Handle("/devices/", http.StripPrefix("/devices", p))
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Server.Close)
	return f
}

// ask sends a request to the front, and returns the answer with its body.
func (f *front) ask(t *testing.T, host, target string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", f.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for name, values := range header {
		r.Header[name] = values
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer c.CloseIdleConnections()
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// shows answers with what the device sees.
func shows(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s for %s, from %s by %s, prefix %q", r.Method, r.RequestURI, r.Host,
		r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Prefix"))
}

func TestProxyPaths(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy))
	f.connectWeb(t, "123", http.HandlerFunc(shows))
	forged := http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Prefix": {"/forged"}}
	for target, want := range map[string]string{
		"/123/":                    `GET / for devices.example, from 127.0.0.1 by http, prefix "/123"`,
		"/123/status?a=b&c":        `GET /status?a=b&c for devices.example, from 127.0.0.1 by http, prefix "/123"`,
		"/123/a%2Fb/%C3%A4":        `GET /a%2Fb/%C3%A4 for devices.example, from 127.0.0.1 by http, prefix "/123"`,
		"/123/123/":                `GET /123/ for devices.example, from 127.0.0.1 by http, prefix "/123"`,
		"/devices/123/x":           `GET /x for devices.example, from 127.0.0.1 by http, prefix "/devices/123"`,
		"/devices/123/devices/123": `GET /devices/123 for devices.example, from 127.0.0.1 by http, prefix "/devices/123"`,
	} {
		if answer, got := f.ask(t, "devices.example", target, forged); got != want || answer.StatusCode != 200 {
			t.Errorf("%s: %d %q, want %q", target, answer.StatusCode, got, want)
		}
	}
	for target, want := range map[string]string{
		"/123":             "123/",
		"/123?a=b":         "123/?a=b",
		"/devices/123?a=b": "123/?a=b", // relative to where the user is
	} {
		answer, _ := f.ask(t, "devices.example", target, nil)
		if got := answer.Header.Get("Location"); got != want || answer.StatusCode != http.StatusPermanentRedirect {
			t.Errorf("%s: %d to %q, want %q", target, answer.StatusCode, got, want)
		}
	}
	for _, target := range []string{"/", "/..%2f/", "/%31/", "/<1>/", "/" + strings.Repeat("x", 10_000) + "/", "/.123/"} {
		if answer, got := f.ask(t, "devices.example", target, nil); answer.StatusCode != 404 || len(got) > 100 {
			t.Errorf("%.30s: %d %q, want status 404", target, answer.StatusCode, got)
		}
	}
}

// TestProxyPathsAsSent sends requests as browsers, curl and proxies do, which net/http would
// escape in another way.
func TestProxyPathsAsSent(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy))
	f.connectWeb(t, "123", http.HandlerFunc(shows))
	for target, want := range map[string]string{
		"/123/a|b":                              `GET /a%7Cb for devices.example, from 127.0.0.1 by http, prefix "/123"`,
		"/123/ä":                                `GET /%C3%A4 for devices.example, from 127.0.0.1 by http, prefix "/123"`,
		"/devices/123/{x}":                      `GET /%7Bx%7D for devices.example, from 127.0.0.1 by http, prefix "/devices/123"`,
		"http://devices.example/123/x":          `GET /x for devices.example, from 127.0.0.1 by http, prefix "/123"`,
		"http://devices.example/devices/123/?x": `GET /?x for devices.example, from 127.0.0.1 by http, prefix "/devices/123"`,
	} {
		if got := f.askAsIs(t, target); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

// askAsIs sends a request with a target that is not changed, and returns the answer.
func (f *front) askAsIs(t *testing.T, target string) string {
	t.Helper()
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: devices.example\r\nConnection: close\r\n\r\n", target)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestProxyDomain(t *testing.T) {
	f := newFront(t, &fleet.ReverseProxy{Domain: "devices.example"})
	f.connectWeb(t, "123", http.HandlerFunc(shows))
	for _, host := range []string{"123.devices.example", "123.Devices.Example:8443", "123.devices.example."} {
		want := fmt.Sprintf(`GET /123/status for %s, from 127.0.0.1 by http, prefix ""`, host)
		if answer, got := f.ask(t, host, "/123/status", http.Header{"X-Forwarded-Prefix": {"/forged"}}); got != want || answer.StatusCode != 200 {
			t.Errorf("%s: %d %q, want %q", host, answer.StatusCode, got, want)
		}
	}
	for host, status := range map[string]int{
		"devices.example": 404, ".devices.example": 404, "123devices.example": 404, "evil.example": 404,
		"123.devices.example.evil": 404, "4.devices.example": 503,
	} {
		if answer, _ := f.ask(t, host, "/", nil); answer.StatusCode != status {
			t.Errorf("%s: status %d, want %d", host, answer.StatusCode, status)
		}
	}
}

// TestProxyDomainWithoutPath sends the whole URL, as a client of a proxy does.
func TestProxyDomainWithoutPath(t *testing.T) {
	s := newSite(t)
	s.connectWeb(t, "123", says("hello"))
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://123.devices.example?a=b", nil)
	(&fleet.ReverseProxy{Fleet: s.Fleet, Domain: "devices.example"}).ServeHTTP(w, r)
	if got := w.Body.String(); got != "hello GET / " || w.Code != http.StatusOK {
		t.Errorf("%d %q, want the client's answer", w.Code, got)
	}
}

// In TestProxyAnswers a device names paths that are others for the user.
func TestProxyAnswers(t *testing.T) {
	paths, hosts := newFront(t, new(fleet.ReverseProxy)), newFront(t, &fleet.ReverseProxy{Domain: "devices.example"})
	redirects := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.Header().Add("Set-Cookie", "a=1; Path=/; HttpOnly")
		w.Header().Add("Set-Cookie", "b=2; Path=/sub; Secure; SameSite=Lax")
		w.Header().Add("Set-Cookie", "c=3")
		w.Header().Add("Set-Cookie", "d=4; Path=/123/")
		w.WriteHeader(http.StatusFound)
	})
	paths.connectWeb(t, "123", redirects)
	hosts.connectWeb(t, "123", redirects)
	for to, want := range map[string][2]string{ // with IDs in the path, and in the host
		"/login?next=%2F":                       {"/123/login?next=%2F", "/login?next=%2F"},
		"http://123.devices.example/a%2Fb":      {"/123/a%2Fb", "/a%2Fb"},
		"http://123/a":                          {"/123/a", "/a"},
		"/123/login":                            {"/123/login", "/123/login"}, // by a client that knows the prefix
		"/123":                                  {"/123", "/123"},
		"/1234":                                 {"/123/1234", "/1234"},
		"below":                                 {"below", "below"},
		"?q":                                    {"?q", "?q"},
		"https://elsewhere.example/x":           {"https://elsewhere.example/x", "https://elsewhere.example/x"},
		"//elsewhere.example/x":                 {"//elsewhere.example/x", "//elsewhere.example/x"},
		"http://a:b@123.devices.example/secret": {"/123/secret", "/secret"},
		"":                                      {"", ""},
		"http://123.devices.example":            {"/123/", "/"},
		"HTTP://123.Devices.Example/a":          {"/123/a", "/a"},
		// Some would be another host's without its own.
		"http://123.devices.example//elsewhere.example/x": {"/123//elsewhere.example/x", "//123.devices.example//elsewhere.example/x"},
		"///elsewhere.example/x":                          {"/123///elsewhere.example/x", "//123.devices.example///elsewhere.example/x"},
		"com.example.app:/signed-in":                      {"com.example.app:/signed-in", "com.example.app:/signed-in"},
		"mailto:me@example.com":                           {"mailto:me@example.com", "mailto:me@example.com"},
	} {
		query := "/?to=" + strings.NewReplacer("%", "%25", "&", "%26", "?", "%3F", "+", "%2B").Replace(to)
		byPath, _ := paths.ask(t, "123.devices.example", "/123"+query, nil)
		byHost, _ := hosts.ask(t, "123.devices.example", query, nil)
		if got := [2]string{byPath.Header.Get("Location"), byHost.Header.Get("Location")}; got != want {
			t.Errorf("a redirect to %q leads to %q, want %q", to, got, want)
		}
		if got, want := strings.Join(byPath.Header["Set-Cookie"], "|"), "a=1; Path=/123/; HttpOnly|b=2; Path=/123/sub; Secure; SameSite=Lax|c=3|d=4; Path=/123/"; got != want {
			t.Errorf("cookies %q, want %q", got, want)
		}
		if got, want := strings.Join(byHost.Header["Set-Cookie"], "|"), "a=1; Path=/; HttpOnly|b=2; Path=/sub; Secure; SameSite=Lax|c=3|d=4; Path=/123/"; got != want {
			t.Errorf("cookies %q, want %q", got, want)
		}
	}
}

// In TestProxyCookies a device sets cookies that browsers accept, and that net/http drops or
// changes.
func TestProxyCookies(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy))
	f.connectWeb(t, "123", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Set-Cookie", r.Header.Get("Set")) }))
	for set, want := range map[string]string{
		`a={"b": 1}; Path=/`:             `a={"b": 1}; Path=/123/`,
		"a=ä; path = /sub":               "a=ä; path =/123/sub",
		"a; Path=/":                      "a; Path=/123/",
		"a=1; Path=/; Priority=High":     "a=1; Path=/123/; Priority=High",
		"a=1; Max-Age=-1; Path=/x;Path=": "a=1; Max-Age=-1; Path=/123/x;Path=",
		"path=/":                         "path=/",
		"a=1; Path=sub":                  "a=1; Path=sub",
		"a=1;":                           "a=1;",
	} {
		answer, _ := f.ask(t, "", "/123/", http.Header{"Set": {set}})
		if got := answer.Header.Get("Set-Cookie"); got != want {
			t.Errorf("%s becomes %s, want %s", set, got, want)
		}
	}
}

func TestProxyErrors(t *testing.T) {
	p := &fleet.ReverseProxy{Configure: func(t *http.Transport) { t.ResponseHeaderTimeout = 50 * time.Millisecond }}
	f := newFront(t, p)
	silent := make(chan bool)
	f.connectWeb(t, "silent", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	defer close(silent)
	f.connectWeb(t, "aborts", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	f.connectWeb(t, "gone", http.NotFoundHandler()).lis.Close()
	f.connect(t, "nonsense", "this-is-not-HTTP")
	for _, test := range []struct {
		id     string
		status int
		body   string
	}{
		{"never", 503, `503 Service Unavailable: client "never" is not connected`},
		{"gone", 503, `503 Service Unavailable: client "gone" is not connected`},
		{"a..", 404, "404 Not Found: there is no such client"},
		{"silent", 504, "504 Gateway Timeout: the client has not answered in time"},
		{"aborts", 502, "502 Bad Gateway: the connection to the client failed"},
		{"nonsense", 502, "502 Bad Gateway: the connection to the client failed"},
	} {
		answer, got := f.ask(t, "", "/"+test.id+"/", nil)
		if answer.StatusCode != test.status || got != test.body+"\n" || (answer.Header.Get("Retry-After") != "") != (test.status == 503) {
			t.Errorf("%s: %d %q, want %d %q", test.id, answer.StatusCode, got, test.status, test.body)
		}
		if want := fmt.Sprintf("status=%d", test.status); !strings.Contains(f.logged.String(), want) {
			t.Errorf("%s: the log is %q, want %s in it", test.id, f.logged.String(), want)
		}
	}
}

// In TestProxyLosesDevice a device vanishes in the middle of an answer. The user must see that
// the answer is incomplete.
func TestProxyLosesDevice(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy))
	started := make(chan bool)
	w := f.connectWeb(t, "1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000") // of which nobody may wait for the rest
		io.WriteString(w, "the first half")
		w.(http.Flusher).Flush()
		started <- true
		<-r.Context().Done()
	}), transport.WithCloseGrace(-1))
	answer, err := f.Client().Get(f.URL + "/1/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	<-started
	half := make([]byte, len("the first half"))
	if _, err := io.ReadFull(answer.Body, half); string(half) != "the first half" {
		t.Errorf("the user gets %q, %v", half, err)
	}
	w.lis.Close()
	if rest, err := io.ReadAll(answer.Body); len(rest) > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the user gets %q, %v, want io.ErrUnexpectedEOF", rest, err)
	}
}

// In TestProxyStreams a user and a device talk before the request is complete.
func TestProxyStreams(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy))
	f.connectWeb(t, "1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, "echo", lines.Text())
			w.(http.Flusher).Flush()
		}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	in, out := io.Pipe()
	r, _ := http.NewRequestWithContext(ctx, "POST", f.URL+"/1/", in)
	go fmt.Fprintln(out, "one")
	answer, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for _, word := range []string{"one", "two", "three"} {
		if !lines.Scan() || lines.Text() != "echo "+word {
			t.Errorf("the answer goes on with %q, %v, want echo %s", lines.Text(), lines.Err(), word)
		}
		go fmt.Fprintln(out, map[string]string{"one": "two", "two": "three"}[word])
	}
	out.Close()
}

// In TestProxyIsLeft a user gives up. The device learns of that, and the proxy logs nothing.
func TestProxyIsLeft(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy))
	asked, given := make(chan bool), make(chan bool)
	f.connectWeb(t, "1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
		given <- true
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	r, _ := http.NewRequestWithContext(ctx, "GET", f.URL+"/1/", nil)
	if _, err := f.Client().Do(r); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	<-given
	f.Server.Close() // which waits
	if got := f.logged.String(); got != "" {
		t.Errorf("the log is %q", got)
	}
}

func TestProxyWebSocket(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy))
	upgrader := websocket.Upgrader{} // accepts pages of its own host only
	w := f.connectWeb(t, "1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			c.WriteMessage(kind, append([]byte("echo "), message...))
		}
	}), transport.WithCloseGrace(-1))
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(f.URL, "http")+"/1/socket", http.Header{"Origin": {f.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	for range 3 {
		c.WriteMessage(websocket.TextMessage, []byte("hello"))
		if _, got, err := c.ReadMessage(); string(got) != "echo hello" || err != nil {
			t.Fatalf("the device says %q, %v", got, err)
		}
	}
	w.lis.Close()
	if _, _, err := c.ReadMessage(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the device is gone, and the user is told %v", err)
	}
}

func TestProxyRewrite(t *testing.T) {
	f := newFront(t, &fleet.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] // of a proxy that is trusted
		r.Out.Header.Del("Cookie")
	}})
	f.connectWeb(t, "1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-For"), r.Header.Get("Cookie"))
	}))
	if _, got := f.ask(t, "", "/1/", http.Header{"X-Forwarded-For": {"1.2.3.4"}, "Cookie": {"session=secret"}}); got != "1.2.3.4" {
		t.Errorf("the device sees %q", got)
	}
}
