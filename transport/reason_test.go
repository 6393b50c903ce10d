package transport_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// In TestCloseWithReason the client knows why, and still connects again.
func TestCloseWithReason(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, changes := s.listen(t, transport.Backoff{})
		d := <-s.dialers
		if err := d.CloseWithReason("replaced by another"); err != nil {
			t.Fatal(err)
		}
		<-d.Dialable().Done()
		if err := d.Err(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the server's error is %v, want net.ErrClosed", err)
		}
		echoesOfNext(t, s, lis)
		told := changes.take()
		if err := told[len(told)-3].Err; !isClosedFor(err, "replaced by another") {
			t.Errorf("the client was told %v, want the reason", err)
		}
	})
}

// In TestCloseWithReasonEnds the client does not come back.
func TestCloseWithReasonEnds(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		stays := func(err error) bool {
			_, closed := errors.AsType[*transport.ClosedError](err)
			return !closed && transport.Retryable(err)
		}
		lis, _ := s.listen(t, transport.Backoff{}, transport.WithRetry(stays))
		long := strings.Repeat("x", 5000)
		(<-s.dialers).CloseWithReason(long)
		if _, err := lis.Accept(); !isClosedFor(err, long[:256]) || !errors.Is(err, mux.ErrSessionEnded) {
			t.Errorf("accept: %v, want the reason, and mux.ErrSessionEnded", err)
		}
		<-lis.Done()
		if err := lis.Err(); !isClosedFor(err, long[:256]) {
			t.Errorf("the listener's error is %v, want the reason", err)
		}
	})
}

func isClosedFor(err error, reason string) bool {
	closed, ok := errors.AsType[*transport.ClosedError](err)
	return ok && closed.Reason == reason
}

// echoesOfNext expects that the client comes back.
func echoesOfNext(t *testing.T, s *site, lis net.Listener) {
	t.Helper()
	go serveEcho(lis)
	echoes(t, <-s.dialers, 1000)
}
