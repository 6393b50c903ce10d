package cluster_test

import (
	"slices"
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
)

// A slow registry takes long to hear of one client.
type slow struct {
	cluster.Registry
	id            string
	begun, finish chan bool
}

func (s *slow) Join(self cluster.Node, holder cluster.Holder) (cluster.Member, error) {
	m, err := s.Registry.Join(self, holder)
	return slowMember{m, s}, err
}

type slowMember struct {
	cluster.Member
	by *slow
}

func (m slowMember) Attach(c cluster.Claim) {
	if c.ID == m.by.id {
		m.by.begun <- true
		<-m.by.finish
	}
	m.Member.Attach(c)
}

// In TestGoneMeanwhile a client comes back and leaves for good while the registry still hears
// of another client. In the end the registry must not say that the client is here.
func TestGoneMeanwhile(t *testing.T) {
	s := newSite(t)
	heard := s.hearsay()
	heard.Registry = s.registry.Registry // clients connect while it is not told of them
	registry := &slow{heard, "slow", make(chan bool), make(chan bool)}
	r := s.replica(t, "a", cluster.WithRegistry(registry))
	first := r.connect(t, "x", "first")
	heard.wasTold(t, "+x")

	// The registry has to hear that the first has gone, of another client, and that the second
	// has come.
	another := r.connect(t, "slow", "slow")
	await.From(t, "the other client", registry.begun)
	r.disconnect(t, "x", first)
	r.disconnect(t, "slow", another)
	r.connect(t, "slow", "slow again")
	second := r.connect(t, "x", "second")
	registry.finish <- true
	await.From(t, "the other client again", registry.begun)
	r.disconnect(t, "x", second)
	registry.finish <- true
	await.Until(t, "the registry takes back that the client is here", func() bool {
		heard.mu.Lock()
		defer heard.mu.Unlock()
		return slices.Index(heard.told, "-x") > slices.Index(heard.told, "+x")
	})
}
