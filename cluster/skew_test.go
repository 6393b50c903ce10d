package cluster_test

import (
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

// A skewed registry makes its members look as if their clocks were wrong.
type skewed struct {
	cluster.Registry
	by time.Duration
}

func (s skewed) Join(self cluster.Node, holder cluster.Holder) (cluster.Member, error) {
	return s.Registry.Join(self, skewedHolder{holder, s.by})
}

type skewedHolder struct {
	cluster.Holder
	by time.Duration
}

func (h skewedHolder) Claim(id string) (cluster.Claim, bool) {
	c, ok := h.Holder.Claim(id)
	c.Since = c.Since.Add(h.by)
	return c, ok
}

// In TestSkewedClocks a replica whose clock is hours ahead, or behind, loses a client, which
// comes back to another. Dials reach it there.
func TestSkewedClocks(t *testing.T) {
	for _, by := range []time.Duration{5 * time.Hour, -5 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			s := newSite(t)
			a, b := s.replica(t, "a", cluster.WithRegistry(skewed{s.registry, by})), s.replica(t, "b")
			network := a.away(t, "x", "lost")
			s.located(t, "x", "a")
			network.Freeze()
			b.connect(t, "x", "back")
			s.located(t, "x", "b")
			if _, ok := a.clients.Lookup("x"); !ok {
				t.Error("it was found only when the lost session was given up")
			}
			reachesNow(t, s.service(t, "c"), "x", "back")
		})
	}
}
