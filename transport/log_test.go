package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/transport"
)

// lineOf returns the line of a log that has all of some texts.
func lineOf(t *testing.T, log *testlog.Log, texts ...string) string {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		missing := false
		for _, text := range texts {
			missing = missing || !strings.Contains(line, text)
		}
		if !missing {
			return line
		}
	}
	t.Errorf("no line has %q in\n%s", texts, log.String())
	return ""
}

// TestLogOfPanic tells whose client it was about.
func TestLogOfPanic(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		var log testlog.Log
		s.deploy(t, transport.WithLogger(log.Logger()), transport.WithAcceptFromClient(nil),
			transport.WithAuthorize(func(r *http.Request) error {
				transport.NameClient(r.Context(), "x")
				if r.Header.Get("Bad") != "" {
					panic("authorize")
				}
				return nil
			}))
		s.current().Handler = transport.EndpointHandlerFunc(func(*transport.Dialer) { panic("handle") })
		for _, header := range []http.Header{{"Bad": {"yes"}}, nil} {
			if lis, err := transport.DialAndListen("mem://server", header, transport.WithCarriers(s.network)); err == nil {
				<-lis.(*transport.Listener).Done()
			}
		}
		synctest.Wait()
		lineOf(t, &log, "panic in a handler", "panic=authorize", "client=x")
		lineOf(t, &log, "panic in a handler", "panic=handle", "client=x", "session=")
	})
}

// In TestLogOfClient a client tries in vain to move, moves, and loses its session. Lines of
// the log count attempts since the last session, and never have an error without a failure.
func TestLogOfClient(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		var log testlog.Log
		lis, _ := s.listen(t, transport.Backoff{Max: time.Second}, transport.WithLogger(log.Logger()))
		for range 3 { // of which none is stable
			first := lis.Info().Session
			log.Reset()
			answered := 0
			s.answer(func(w http.ResponseWriter, r *http.Request) {
				if answered++; answered == 2 {
					s.answer(nil)
				}
				http.Error(w, "not now", http.StatusServiceUnavailable)
			})
			d := <-s.dialers
			go d.Shutdown(context.WithoutCancel(t.Context()))
			<-d.Done()
			synctest.Wait()
			lineOf(t, &log, "moving to another session", "session="+first)
			if line := lineOf(t, &log, "moving to another session"); strings.Contains(line, "attempt=") || strings.Contains(line, "err=") {
				t.Errorf("an orderly move is told of as an attempt, or an error: %s", line)
			}
			for n := 1; n <= 2; n++ {
				lineOf(t, &log, "dial failed", fmt.Sprintf("attempt=%d ", n), "503")
				lineOf(t, &log, "connecting again", fmt.Sprintf("attempt=%d ", n+1), "session="+first, "503")
			}
			lineOf(t, &log, "client connected", "attempt=3 ", "session="+lis.Info().Session)
			lineOf(t, &log, "client gone", "session="+first, "reason=moved")
			if text := log.String(); strings.Contains(text, "attempt=4") || strings.Contains(text, "<nil>") || strings.Contains(text, "reason=moved err=") {
				t.Errorf("the log is\n%s", text)
			}
		}
		log.Reset()
		d := <-s.dialers
		d.Close()
		<-s.dialers
		lineOf(t, &log, "connecting again", "attempt=1 ", "reason=closed_by_peer")
		s.answer(verdict(http.StatusForbidden))
		s.current().Close()
		<-lis.Done()
		lineOf(t, &log, "gave up connecting again", "err=", "session=")
	})
}
