package carriertest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
)

func reportsRejection(t *testing.T, target Target) {
	for status, body := range map[int]string{
		http.StatusOK:         "<html>a page</html>",
		http.StatusForbidden:  "you are not on the list",
		http.StatusNotFound:   "",
		http.StatusBadGateway: strings.Repeat("long ", 2000),
	} {
		if !t.Run(http.StatusText(status), func(t *testing.T) { checkRejection(t, target, status, body, nil) }) {
			return // the others may take as long to fail
		}
	}
	t.Run("BodyThatDoesNotEnd", func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		checkRejection(t, target, http.StatusForbidden, strings.Repeat("long ", 20_000), release)
	})
}

// checkRejection dials a server that answers with status and body. If release is not nil,
// the answer ends only when it is closed.
func checkRejection(t *testing.T, target Target, status int, body string, release <-chan struct{}) {
	t.Helper()
	const shown = 1 << 10
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Reason", "several")
		w.WriteHeader(status)
		w.Write([]byte(body))
		if release != nil {
			<-release
		}
	})
	tap := tapped(t, s)
	err := s.try(t.Context())
	tap.wantHungUp(t)
	rejected, ok := errors.AsType[*carrier.RejectedError](err)
	if !ok {
		t.Fatalf("Dial returned %v, want a RejectedError", err)
	}
	if rejected.StatusCode != status {
		t.Errorf("RejectedError has status %d, want %d", rejected.StatusCode, status)
	}
	if got := rejected.Header.Get("X-Reason"); got != "several" {
		t.Errorf("RejectedError has header X-Reason %q", got)
	}
	if status == http.StatusOK && len(rejected.Body) == 0 {
		return // a CONNECT request is answered with a connection or without a body
	}
	if want := body[:min(len(body), shown)]; string(rejected.Body) != want {
		t.Errorf("RejectedError has body %q, want %q", rejected.Body, want)
	}
}

func reportsUnreachable(t *testing.T, target Target) {
	s := serve(t, target, http.NotFound)
	s.close()
	err := s.try(t.Context())
	if err == nil {
		t.Fatal("Dial connected to a closed server")
	}
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok {
		t.Errorf("Dial says that a closed server answered: %v", rejected)
	}
}

func reportsScheme(t *testing.T, target Target) {
	s := serve(t, target, http.NotFound)
	r := s.request(protocol)
	r.URL.Scheme = "gopher"
	_, err := target.Carrier.Dial(t.Context(), r)
	if !errors.Is(err, carrier.ErrScheme) {
		t.Errorf("Dial of %v returned %v, want ErrScheme", r.URL, err)
	}
}

func dialEndsWithContext(t *testing.T, target Target) {
	t.Run("Handler", func(t *testing.T) { dialEndsInHandler(t, target) })
	t.Run("Silence", func(t *testing.T) { dialEndsInSilence(t, target) })
}

// dialEndsInHandler uses a server whose handler does not answer.
func dialEndsInHandler(t *testing.T, target Target) {
	entered, release := make(chan struct{}, 3), make(chan struct{})
	s := serve(t, target, func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	})
	// Cleanups run backwards: the handlers return before the server closes.
	t.Cleanup(func() { close(release) })

	cancelled, cancel := context.WithCancel(t.Context())
	dialled := start(func() error { return s.try(cancelled) })
	receive(t, "the request", entered)
	cancel()
	wantContextError(t, "during the handshake", dialled, context.Canceled)

	dialled = start(func() error { return s.try(cancelled) })
	wantContextError(t, "before it", dialled, context.Canceled)

	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	dialled = start(func() error { return s.try(late) })
	wantContextError(t, "by a deadline", dialled, context.DeadlineExceeded)
}

// dialEndsInSilence uses a server that sends nothing at all, for instance during the
// handshake of TLS or QUIC.
func dialEndsInSilence(t *testing.T, target Target) {
	s := serve(t, target, http.NotFound)
	silent := silence(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dialled := start(func() error { return s.try(ctx) })
	receive(t, "Dial's first message", silent.heard)
	cancel()
	wantContextError(t, "while the server was silent", dialled, context.Canceled)
	if silent.hungUp != nil {
		receive(t, "closing of the socket of a Dial that has given up", silent.hungUp)
	}
}

func wantContextError(t *testing.T, when string, dialled <-chan error, want error) {
	t.Helper()
	if err := receive(t, "Dial with a context that ended "+when, dialled); !errors.Is(err, want) {
		t.Errorf("Dial with a context that ended %s returned %v, want %v", when, err, want)
	}
}

func upgradeFails(t *testing.T, target Target) {
	statuses := make(chan int, 1)
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) {
		record := httptest.NewRecorder()
		if _, err := target.Carrier.Upgrade(record, r, protocol); err == nil {
			t.Error("Upgrade made a connection of an httptest.ResponseRecorder")
		}
		statuses <- record.Code
		w.WriteHeader(record.Code)
	})
	if err := s.try(t.Context()); err == nil {
		t.Error("Dial connected to a server whose Upgrade failed")
	}
	if status := receive(t, "Upgrade", statuses); status < 400 {
		t.Errorf("Upgrade failed and answered with status %d", status)
	}
}
