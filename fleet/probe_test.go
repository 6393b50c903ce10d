package fleet_test

import (
	"context"
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
		probe(t, s, "1", true)
		s.reaches(t, "1", "alive")
		path := newFrozen(s.network)
		s.connect(t, "2", "dead", transport.WithCarriers(path))
		synctest.Wait()
		s.reaches(t, "2", "dead")
		path.set(true)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Probe(ctx, "2"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a probe that was given up: %v", err)
		}
		if _, ok := s.Lookup("2"); !ok {
			t.Error("a client was closed by a probe that was given up")
		}
		probe(t, s, "2", false)
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("it took %v to see", took)
		}
		if _, ok := s.Lookup("2"); ok {
			t.Error("a client that does not answer can be dialled")
		}
		probe(t, s, "3", false) // was never here
	})
}

func probe(t *testing.T, s *site, id string, want bool) {
	t.Helper()
	if alive, err := s.Probe(t.Context(), id); alive != want || err != nil {
		t.Errorf("client %s is alive: %t, %v, want %t", id, alive, err, want)
	}
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
