package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
)

// In TestAnyReplicaDialsAnyClient each of three replicas, and a service, dial a client of each
// replica.
func TestAnyReplicaDialsAnyClient(t *testing.T) {
	s := newSite(t)
	var all []*cluster.Cluster
	for _, name := range []string{"a", "b", "c"} {
		r := s.replica(t, name)
		r.connect(t, "of-"+name, name)
		all = append(all, r.Cluster)
	}
	all = append(all, s.service(t, "billing"))
	for _, from := range all {
		for _, name := range []string{"a", "b", "c"} {
			reaches(t, from, "of-"+name, name)
		}
	}
	for i, from := range all[:3] {
		if got := from.Stats(); got.Local != 1 || got.Remote != 2 || got.Peers != 2 {
			t.Errorf("replica %d: %+v, want one local dial and two to other replicas", i, got)
		}
	}
}

// TestNotConnected tells a client that nobody has from an engine that is away.
func TestNotConnected(t *testing.T) {
	s := newSite(t)
	r := s.replica(t, "a")
	_, err := r.Dial(t.Context(), "nobody")
	_, isFleets := errors.AsType[*fleet.NotConnectedError](err)
	if !errors.Is(err, cluster.ErrNotConnected) || errors.Is(err, cluster.ErrUnavailable) || !isFleets {
		t.Errorf("%v, want ErrNotConnected", err)
	}
	if _, err := r.Dial(t.Context(), "no body"); !errors.Is(err, fleet.ErrInvalidID) {
		t.Errorf("%v, want fleet.ErrInvalidID", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Wait(ctx, "nobody"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cluster.ErrNotConnected) {
		t.Errorf("wait: %v, want the error of its context", err)
	}
}
