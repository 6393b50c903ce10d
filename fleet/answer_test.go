package fleet_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/transport"
)

// connectRaw connects a client that answers each request as it is told.
func (s *site) connectRaw(t *testing.T, id, answer string) {
	t.Helper()
	lis, err := transport.DialAndListenContext(t.Context(), "mem://server", http.Header{"Deviceid": {id}}, transport.WithCarriers(s.network))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	if _, err := s.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.WriteString(conn, answer)
				}
			}()
		}
	}()
}

// hints returns the headers of the informational answers, in order, and the answer, which
// has been read to its end.
func (f *front) hints(t *testing.T, target string) (hints []http.Header, answer *http.Response) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			hints = append(hints, http.Header(h))
			return nil
		},
	})
	r, err := http.NewRequestWithContext(ctx, "GET", f.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer c.CloseIdleConnections()
	answer, err = c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	return hints, answer
}

// In TestProxyHintsAndTrailers a device sends informational answers and trailers with fields
// that a header may have, and fields that concern only the device and the proxy.
func TestProxyHintsAndTrailers(t *testing.T) {
	const fields = "Set-Cookie: a=1; Path=/devices/2/\r\nLocation: /devices/2/\r\n" +
		"Connection: Keep-Alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: websocket\r\nX-Kept: 1\r\n"
	for _, announced := range []string{"", "Trailer: Set-Cookie, X-Kept, Location, X-Hop\r\n"} {
		f := newFront(t, new(fleet.ReverseProxy))
		f.connectRaw(t, "1", strings.Repeat("HTTP/1.1 103 Early Hints\r\n"+fields+"\r\n", 2)+
			"HTTP/1.1 200 OK\r\n"+announced+fields+"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"+fields+"\r\n")
		hints, answer := f.hints(t, "/devices/1/page")
		if len(hints) != 2 {
			t.Errorf("the user is told %d hints, want 2", len(hints))
		}
		for _, h := range append(hints, answer.Header, answer.Trailer) {
			for name, want := range map[string]string{
				"Set-Cookie": "a=1; Path=/devices/1/devices/2/",
				"Location":   "/devices/1/devices/2/",
				"X-Kept":     "1",
				"Connection": "", "Keep-Alive": "", "X-Hop": "", "Upgrade": "",
			} {
				if got := strings.Join(slices.Compact(slices.Clone(h.Values(name))), "|"); got != want {
					t.Errorf("%s: %q, want %q, in %v", name, got, want, h)
				}
			}
		}
	}
}

// In TestProxyInFront a device tells nginx and others, which may be in front of the proxy, to
// serve a file of theirs, or to send no more requests to the proxy.
func TestProxyInFront(t *testing.T) {
	const fields = "x-accel-redirect: /internal\r\nX-Sendfile: /etc/passwd\r\nX-LIGHTTPD-send-file: /etc/passwd\r\n" +
		"X-LIGHTTPD-send-tempfile: /etc/passwd\r\nX-REPROXY-FILE: /etc/passwd\r\nX-REPROXY-URL: http://internal/\r\n" +
		"X-Sendfile2: /etc/passwd 0-\r\nX-LiteSpeed-Location: /internal\r\nx-envoy-immediate-health-check-fail: true\r\nX-Accel-Buffering: no\r\n"
	for _, domain := range []string{"", "devices.example"} {
		f := newFront(t, &fleet.ReverseProxy{Domain: domain})
		f.connectRaw(t, "1", "HTTP/1.1 103 Early Hints\r\n"+fields+"\r\n"+
			"HTTP/1.1 200 OK\r\n"+fields+"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"+fields+"\r\n")
		hints, answer := f.hints(t, "/1/")
		if domain != "" {
			answer, _ = f.ask(t, "1."+domain, "/", nil)
		}
		for _, h := range append(hints, answer.Header, answer.Trailer) {
			for name := range h {
				if strings.HasPrefix(name, "X-") && name != "X-Accel-Buffering" && name != "X-Content-Type-Options" {
					t.Errorf("%q: %s is there, in %v", domain, name, h)
				}
			}
		}
		if answer.StatusCode != 200 || answer.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("%q: %s, %v", domain, answer.Status, answer.Header)
		}
	}
}

// In TestProxyStatus a device answers with a status that net/http reads but does not write.
func TestProxyStatus(t *testing.T) {
	for _, status := range []string{"000", "001", "099"} {
		f := newFront(t, new(fleet.ReverseProxy))
		f.connectRaw(t, "1", "HTTP/1.1 "+status+" Fine\r\nContent-Length: 2\r\n\r\nok")
		if answer, text := f.ask(t, "", "/1/", nil); answer.StatusCode != http.StatusBadGateway {
			t.Errorf("status %s becomes %d %q, want 502", status, answer.StatusCode, text)
		}
	}
}

// In TestProxyBoundsHints a device sends informational answers for ever. Each transport that a
// proxy may have must stop that.
func TestProxyBoundsHints(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(fmt.Sprintf("own transport: %v", own), func(t *testing.T) {
			p := new(fleet.ReverseProxy)
			f := newFront(t, p)
			if !own {
				rt := &http.Transport{DialContext: f.DialContext}
				defer rt.CloseIdleConnections()
				p.Transport = rt
			}
			f.connectRaw(t, "1", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000)+"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			f.connectRaw(t, "2", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100)+"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			if hints, answer := f.hints(t, "/1/"); answer.StatusCode != http.StatusBadGateway || len(hints) > 100 {
				t.Errorf("status %d after %d hints, want 502 after 100 at most", answer.StatusCode, len(hints))
			}
			if hints, answer := f.hints(t, "/2/"); answer.StatusCode != http.StatusOK || len(hints) != 100 {
				t.Errorf("status %d after %d hints, want 200 after 100", answer.StatusCode, len(hints))
			}
		})
	}
}

// In TestProxyLog a device and a user send texts that look like lines of a log, that change a
// terminal, or that are very long.
func TestProxyLog(t *testing.T) {
	const evil = "\x1b[2J\x9b31m\rroot logged in"
	long := strings.Repeat("x", 60<<10)
	for _, answer := range []string{
		"SSH-2.0" + evil,
		"HTTP/1.1 200 OK\r\n" + evil + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + long + "\r\n\r\n",
		"HTTP/1.1 2" + evil + "0 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + evil + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + long + "\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + long + "\r\n\r\n",
	} {
		var logged testlog.Log
		p := new(fleet.ReverseProxy)
		f := newFront(t, p)
		p.Logger = logged.Plain()
		f.connectRaw(t, "1", answer)
		if got, _ := f.ask(t, "", "/1/%0aroot%20logged%20in%1b"+long[:1000], nil); got.StatusCode != http.StatusBadGateway {
			t.Errorf("status %d after %.50q, want 502", got.StatusCode, answer)
		}
		line, ok := strings.CutSuffix(logged.String(), "\n")
		if harm := testlog.Harm(line); harm != "" || !ok {
			t.Errorf("after %.50q the log is %s", answer, harm)
		}
	}
}

// In TestProxyLogsEndOfBody a device ends an answer with an invalid trailer. The user gets the
// beginning of the answer, and the library writes to the log.
func TestProxyLogsEndOfBody(t *testing.T) {
	var logged testlog.Log
	p := new(fleet.ReverseProxy)
	f := newFront(t, p)
	p.Logger = logged.Plain()
	f.connectRaw(t, "1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\x1b[2J\rroot logged in\r\n\r\n")
	answer, err := f.Client().Get(f.URL + "/1/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err == nil {
		t.Error("an answer without an end has one for the user")
	}
	f.Server.Close() // which waits
	line, ok := strings.CutSuffix(logged.String(), "\n")
	if harm := testlog.Harm(line); harm != "" || !ok {
		t.Errorf("the log is %s", harm)
	}
}
