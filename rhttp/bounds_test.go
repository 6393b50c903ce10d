package rhttp_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/rhttp"
)

// text is an answer with an end.
func text(parts ...string) func() io.Reader {
	return func() io.Reader { return strings.NewReader(strings.Join(parts, "")) }
}

// forever is an answer whose last part is repeated without end.
func forever(begin, repeated string) func() io.Reader {
	return func() io.Reader { return io.MultiReader(strings.NewReader(begin), endless(repeated)) }
}

// saying is a device that answers each request with the same text.
func saying(lis net.Listener, answer io.Reader) {
	for {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.Copy(conn, struct{ io.Reader }{answer}) // a little at a time
		}
		conn.Close()
	}
}

// endless repeats a text.
type endless string

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	return n, nil
}

// tiny returns header fields of so many bytes, each as small as it can be.
func tiny(size int, name func(i int) string) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		b.WriteString(name(i) + ":\n")
	}
	return b.String()
}

func different(i int) string { return fmt.Sprintf("%x", i) }
func same(int) string        { return "a" }

const (
	ok   = "HTTP/1.1 200 OK\r\n"
	end  = "Content-Length: 0\r\n\r\n"
	hint = "HTTP/1.1 103 Early Hints\r\n"
)

// In TestAnswerIsBounded devices send answers that are too large. Their cost is bounded, with
// a trace of the request and without.
func TestAnswerIsBounded(t *testing.T) {
	const most = 4 << 20 // bytes of memory
	for _, test := range []struct {
		name   string
		answer func() io.Reader
		err    string // or "" for none
	}{
		{"what fits", text(ok + tiny(60<<10, different) + end), ""},
		{"what fits, one field", text(ok + tiny(60<<10, same) + end), ""},
		{"different fields", text(ok + tiny(1<<20, different) + end), "exceeded"},
		{"one field", text(ok + tiny(1<<20, same) + end), "exceeded"},
		{"one long field", text(ok + "a:" + strings.Repeat("x", 1<<20) + "\n" + end), "exceeded"},
		{"endless fields", forever(ok, "a:\n"), "exceeded"},
		{"endless line", forever(ok, "a"), "exceeded"},
		{"endless status", forever("", "H"), "exceeded"},
		{"100 hints", text(strings.Repeat(hint+"a: b\r\n\r\n", 100) + ok + end), ""},
		{"endless hints", forever("", hint+"\r\n"), "informational"},
		{"endless hints to go on", forever("", "HTTP/1.1 100 Continue\r\n\r\n"), "informational"},
		{"large hints", text(strings.Repeat(hint+tiny(60<<10, different)+"\r\n", 90) + ok + end), "informational"},
		{"a hint that is too large", text(hint + tiny(1<<20, different) + "\r\n" + ok + end), "exceeded"},
		{"trailers", text(ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + tiny(1<<20, different) + "\r\n"), "trailer"},
		{"endless trailers", forever(ok+"Transfer-Encoding: chunked\r\n\r\n0\r\n", "a:\n"), "trailer"},
	} {
		for _, traced := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/traced=%v", test.name, traced), func(t *testing.T) {
				leak.Check(t)
				d := newDevice(t)
				go saying(d.lis, test.answer())
				rt := rhttp.NewTransport(d.Dialer)
				defer rt.CloseIdleConnections()
				made, err := costOf(t, rt, "http://device/", traced)
				if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				if made > most {
					t.Errorf("the answer made %d KiB, want %d at most", made>>10, most>>10)
				}
			})
		}
	}
}

// costOf sends a request, and returns how much memory was made until all of the answer was
// read.
func costOf(t *testing.T, rt http.RoundTripper, url string, traced bool) (made int64, err error) {
	t.Helper()
	ctx := t.Context()
	if traced {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil },
		})
	}
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	answer, err := rt.RoundTrip(r)
	if err == nil {
		if answer.Request != r {
			t.Error("the answer names another request")
		}
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc), err
}

// In TestErrorsOfAnswers devices send lines of a log: in an answer, or at the end of its body.
func TestErrorsOfAnswers(t *testing.T) {
	const forged = "\x1b[2J\x9b31m\rroot logged in"
	long := strings.Repeat("x", 60<<10)
	for _, answer := range []string{
		"SSH-2.0" + forged,
		ok + forged + "\r\n\r\n",
		ok + "Transfer-Encoding: " + long + "\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + forged + "\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + long[:2000] + "\r\n\r\n",
	} {
		leak.Check(t)
		d := newDevice(t)
		go saying(d.lis, strings.NewReader(answer))
		rt := rhttp.NewTransport(d.Dialer)
		_, err := costOf(t, rt, "http://device/", false)
		if err == nil {
			t.Errorf("%.50q is an answer", answer)
		} else if harm := testlog.Harm(err.Error()); harm != "" || len(err.Error()) > 500 {
			t.Errorf("the error is of %d bytes, and %s", len(err.Error()), harm)
		}
		rt.CloseIdleConnections()
	}
}

// TestAnswerIsBoundedOverHTTP2 is TestAnswerIsBounded for a device that serves HTTP/2.
func TestAnswerIsBoundedOverHTTP2(t *testing.T) {
	leak.Check(t)
	many := func(h http.Header, prefix string) {
		for i := range 5000 {
			h.Set(fmt.Sprintf("%s%x", prefix, i), "")
		}
	}
	d := newDevice(t)
	certificate, roots := certified(t)
	var conns atomic.Int32
	srv := hello(&conns)
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/fields":
			many(w.Header(), "")
		case "/hints":
			for range 1000 {
				w.WriteHeader(http.StatusEarlyHints)
			}
		case "/large":
			for i := range 500 {
				w.Header().Set(fmt.Sprintf("%x", i), strings.Repeat("x", 20))
			}
			for range 10 {
				w.WriteHeader(http.StatusEarlyHints)
			}
		case "/trailers":
			w.(http.Flusher).Flush()
			many(w.Header(), http.TrailerPrefix)
		}
	})
	srv.TLSConfig = &tls.Config{Certificates: certificate, NextProtos: []string{"h2", "http/1.1"}}
	srv.ErrorLog = log.New(io.Discard, "", 0)
	go srv.ServeTLS(d.lis, "", "")
	defer srv.Close()
	rt := rhttp.NewTransport(d.Dialer, func(t *http.Transport) { t.TLSClientConfig = &tls.Config{RootCAs: roots} })
	defer rt.CloseIdleConnections()
	for path, want := range map[string]string{
		"/": "", "/fields": "PROTOCOL_ERROR", "/hints": "informational", "/large": "informational", "/trailers": "PROTOCOL_ERROR",
	} {
		if _, err := costOf(t, rt, "https://example.com"+path, false); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}
