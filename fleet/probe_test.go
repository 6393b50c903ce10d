package fleet_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

// TestProbe closes a session whose client is gone without a word, and no other.
func TestProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.connect(t, "1", "alive")
		synctest.Wait()
		if !s.Probe("1") {
			t.Error("a client that answers is taken for dead")
		}
		s.reaches(t, "1", "alive")
		path := newFrozen(s.network)
		s.connect(t, "2", "dead", transport.WithCarriers(path))
		synctest.Wait()
		s.reaches(t, "2", "dead")
		path.set(true)
		began := time.Now()
		if s.Probe("2") {
			t.Error("a client that does not answer is taken for alive")
		}
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("it took %v to see", took)
		}
		if _, ok := s.Lookup("2"); ok {
			t.Error("a client that does not answer can be dialled")
		}
		if s.Probe("3") {
			t.Error("a client that was never here is alive")
		}
	})
}

// TestTryDial does not wait for a client, in a fleet that does.
func TestTryDial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithWaitForClient())
		_, err := s.TryDial(t.Context(), "1")
		if _, ok := errors.AsType[*fleet.NotConnectedError](err); !ok {
			t.Errorf("no client: %v, want a NotConnectedError", err)
		}
		s.connect(t, "1", "first")
		synctest.Wait()
		conn, err := s.TryDial(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if name := nameOf(t, conn); name != "first" {
			t.Errorf("the client is %q", name)
		}
	})
}
