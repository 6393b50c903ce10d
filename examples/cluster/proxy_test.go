package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// TestProxyTurn makes replicas come and go.
func TestProxyTurn(t *testing.T) {
	leak.Check(t)
	one, two, three := newUpstream(t, "one"), newUpstream(t, "two"), newUpstream(t, "three")
	p, front := startProxy(t, one.url, two.url, three.url)
	for _, healthy := range [][]*upstream{{one, two, three}, {one, three}, {}, {two}, {one, two, three}} {
		for _, u := range []*upstream{one, two, three} {
			u.healthy.Store(false)
		}
		for _, u := range healthy {
			u.healthy.Store(true)
		}
		awaitHealthy(t, p, healthy)
		got := map[string]int{}
		for range 2 * max(1, len(healthy)) {
			got[request(t, http.MethodGet, front)]++
		}
		for _, u := range healthy {
			if got[u.name] == 0 {
				t.Errorf("%d are healthy, and the answers are %v", len(healthy), got)
			}
		}
		if len(healthy) == 0 && got["502 Bad Gateway: no replica is healthy\n"] == 0 {
			t.Errorf("none is healthy, and the answers are %v", got)
		}
	}
}

// TestProxyGoesOn makes a replica cut a request, which another must answer if it may be
// repeated.
func TestProxyGoesOn(t *testing.T) {
	leak.Check(t)
	cuts, works := newUpstream(t, "cuts"), newUpstream(t, "works")
	cuts.answer = func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }
	p, front := startProxy(t, cuts.url, works.url)
	awaitHealthy(t, p, []*upstream{cuts, works})
	got := map[string]int{}
	for range 4 {
		if answer := request(t, http.MethodGet, front); answer != "works" {
			t.Errorf("answer %q", answer)
		}
	}
	for range 4 {
		got[request(t, http.MethodPost, front)]++
	}
	if got["works"] != 2 || len(got) != 2 {
		t.Errorf("answers to requests with a body: %v", got)
	}
}

// TestProxyHang makes a replica hang with a request.
func TestProxyHang(t *testing.T) {
	leak.Check(t)
	hangs, works := newUpstream(t, "hangs"), newUpstream(t, "works")
	asked, over := make(chan bool, 8), make(chan struct{})
	hangs.answer = func(w http.ResponseWriter, r *http.Request) {
		asked <- true
		<-over
	}
	defer close(over)
	p, front := startProxy(t, hangs.url, works.url)
	awaitHealthy(t, p, []*upstream{hangs, works})
	answers := make(chan string)
	for range 2 {
		go func() { answers <- request(t, http.MethodGet, front) }()
	}
	<-asked
	hangs.healthy.Store(false)
	for range 2 {
		if answer := <-answers; answer != "works" {
			t.Errorf("answer %q", answer)
		}
	}
}

// TestProxyWebSocket connects a device through the proxy, and asks it.
func TestProxyWebSocket(t *testing.T) {
	leak.Check(t)
	replica := alone(t, "replica-1")
	p, front := startProxy(t, replica)
	awaitHealthy(t, p, []*upstream{{url: replica}})
	d := connect(t, front, "kiosk-1")
	c := ask(t.Context(), client(t), front, d)
	for deadline := time.Now().Add(patience); c.err != nil && time.Now().Before(deadline); <-time.After(pollInterval) {
		c = ask(t.Context(), client(t), front, d)
	}
	if c.err != nil {
		t.Error(c.err)
	}
	// The replica says who it is beside the connection that it was asked through.
	await.Until(t, "the replica's name", func() bool { return connectedTo([]*device{d}, "replica-1") == "kiosk-1" })
}

// An upstream is a server behind the proxy.
type upstream struct {
	name    string
	url     *url.URL
	healthy atomic.Bool
	answer  http.HandlerFunc
}

func newUpstream(t *testing.T, name string) *upstream {
	t.Helper()
	u := &upstream{name: name, answer: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name) }}
	u.healthy.Store(true)
	u.url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/healthz":
			u.answer(w, r)
		case !u.healthy.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	return u
}

// startProxy runs a proxy, with checks, until t is done.
func startProxy(t *testing.T, replicas ...*url.URL) (*proxy, *url.URL) {
	t.Helper()
	p := newProxy(replicas...)
	web := httptest.NewServer(p)
	ctx, stop := context.WithCancel(context.Background())
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		p.check(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-checked
		web.Close()
		p.transport.CloseIdleConnections()
	})
	return p, parse(t, web.URL)
}

// awaitHealthy waits until the proxy knows which replicas are healthy.
func awaitHealthy(t *testing.T, p *proxy, want []*upstream) {
	t.Helper()
	up := func(u *upstream) bool {
		for _, b := range p.backends {
			if b.url == u.url {
				return b.up() != nil
			}
		}
		return false
	}
	for deadline := time.Now().Add(patience); ; <-time.After(pollInterval) {
		n := 0
		for _, u := range want {
			if up(u) {
				n++
			}
		}
		if n == len(want) && p.healthy() == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the proxy finds %d healthy, want %d", p.healthy(), len(want))
		}
	}
}

// request returns the text of an answer.
func request(t *testing.T, method string, to *url.URL) string {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("text")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, to.String(), body)
	if err != nil {
		t.Error(err)
		return ""
	}
	answer, err := client(t).Do(r)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
