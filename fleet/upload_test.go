package fleet_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/backdial/backdial/fleet"
)

// TestProxyUploads sends more than the way to a device holds. The proxy gives up a device
// that does not read, but not one that reads, however long the user pauses, nor one that
// has begun to answer.
func TestProxyUploads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		silent := make(chan bool)
		defer close(silent)
		reads := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		})
		s.connectWeb(t, "silent", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
		s.connectWeb(t, "reads", reads)
		s.connectWeb(t, "answers", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Minute)
			reads(w, r)
		}))
		p := &fleet.ReverseProxy{Fleet: s.Fleet}
		for _, test := range []struct {
			id     string
			pause  time.Duration // in the middle of the body
			status int
			body   string
			took   time.Duration
		}{
			{"silent", 0, 504, "504 Gateway Timeout: the client has not answered in time\n", time.Minute},
			{"reads", 10 * time.Minute, 200, "10485760 <nil>", 10 * time.Minute},
			{"answers", 0, 200, "10485760 <nil>", 10 * time.Minute},
		} {
			part := make([]byte, 5<<20)
			body, w := io.Pipe()
			go func() {
				w.Write(part)
				time.Sleep(test.pause)
				w.Write(part)
				w.Close()
			}()
			answer := httptest.NewRecorder()
			began := time.Now()
			p.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "POST", "/"+test.id+"/", body))
			if got := answer.Body.String(); answer.Code != test.status || got != test.body || time.Since(began) != test.took {
				t.Errorf("%s: %d %q after %v, want %d %q after %v", test.id, answer.Code, got, time.Since(began), test.status, test.body, test.took)
			}
			body.Close()
		}
	})
}
