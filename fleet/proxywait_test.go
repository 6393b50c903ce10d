package fleet_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"testing"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/await"
)

// In TestProxyWaits a user asks for a device that is about to come back.
func TestProxyWaits(t *testing.T) {
	f := newFront(t, new(fleet.ReverseProxy), fleet.WithWaitForClient())
	got := make(chan string)
	go func() {
		_, body := f.ask(t, "", "/1/status", nil)
		got <- body
	}()
	await.Until(t, "a request waits for the device", func() bool { return f.Waiting() > 0 })
	f.connectWeb(t, "1", says("one"))
	if got := <-got; got != "one GET /status " {
		t.Errorf("the answer is %q", got)
	}
}

// In TestProxyWaitEnds a user asks for a device that was never there, and for one that leaves
// at the last moment.
func TestProxyWaitEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithWaitForClient())
		leaves := s.connectWeb(t, "leaves", says("hello"))
		p := &fleet.ReverseProxy{Fleet: s.Fleet, Rewrite: func(*httputil.ProxyRequest) { leaves.lis.Close() }}
		for _, id := range []string{"leaves", "never"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			w := httptest.NewRecorder()
			began := time.Now()
			p.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/"+id+"/", nil))
			if w.Code != http.StatusServiceUnavailable || time.Since(began) != time.Minute {
				t.Errorf("%s: after %v the answer is %d, want 503 after a minute", id, time.Since(began), w.Code)
			}
			cancel()
		}
	})
}
