package transport_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/transport"
)

// refusing answers like a server that shuts down.
var refusing = status(http.StatusServiceUnavailable, "1")

// TestMoveInVain shuts down servers whose clients are led back to them, as where there is
// no other: Shutdown waits only for as long as somebody may move.
func TestMoveInVain(t *testing.T) {
	const moveGrace = 10 * time.Second
	for _, test := range []struct {
		name        string
		clients     int
		answer      func(attempt int64) http.HandlerFunc // nil for the next server
		least, most time.Duration
	}{
		{"many clients", 20, func(int64) http.HandlerFunc { return refusing }, 0, moveTime},
		{"few clients", 3, func(int64) http.HandlerFunc { return refusing }, 0, 2 * moveTime},
		{"one client", 1, func(int64) http.HandlerFunc { return refusing }, 3 * time.Second, 7 * time.Second},
		{"one that has moved", 20, func(attempt int64) http.HandlerFunc {
			if attempt == 10 {
				return nil
			}
			return refusing
		}, moveGrace, moveGrace + moveTime},
		{"one that is still trying", 20, func(attempt int64) http.HandlerFunc {
			if attempt == 10 {
				return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
			}
			return refusing
		}, moveGrace - moveTime, moveGrace + moveTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				for range test.clients {
					s.listen(t, transport.Backoff{})
					<-s.dialers
				}
				time.Sleep(time.Minute)
				var attempts atomic.Int64
				s.answer(func(w http.ResponseWriter, r *http.Request) {
					if refuse := test.answer(attempts.Add(1)); refuse != nil {
						refuse(w, r)
					} else {
						s.current().ServeHTTP(w, r)
					}
				})
				began := time.Now()
				if err := (<-shutdown(t.Context(), s.deploy(t))); err != nil {
					t.Error("shutdown:", err)
				}
				if took := time.Since(began); took < test.least || took > test.most {
					t.Errorf("shutdown took %v, want %v to %v", took, test.least, test.most)
				}
				s.answer(nil)
				for range test.clients {
					<-s.dialers
				}
			})
		})
	}
}

// In TestMoveInVainCutsNothing a connection is in use when nobody can move.
func TestMoveInVainCutsNothing(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, _ := s.listen(t, transport.Backoff{})
		d := <-s.dialers
		running := dialled(t, d, "running")
		near := accepted(t, lis, "running")
		s.answer(refusing)
		done := shutdown(t.Context(), s.deploy(t))
		<-d.Draining()
		time.Sleep(time.Minute)
		io.WriteString(running, "and on")
		if _, err := io.ReadFull(near, make([]byte, 6)); err != nil {
			t.Error("the connection in use:", err)
		}
		near.Close()
		running.Close()
		if err := <-done; err != nil {
			t.Error("shutdown:", err)
		}
		s.answer(nil)
		<-s.dialers
	})
}
