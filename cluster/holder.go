package cluster

import (
	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

// announce tells the registry which clients come and go, until the cluster is closed. A client
// has gone when the last session that the registry knows has ended: the registry may never
// hear of one that is there now.
func (c *Cluster) announce() {
	sessions := make(map[string]int) // known to the registry, by ID
	for change := range c.clients.Watch(c.ctx) {
		if change.Gone == nil {
			sessions[change.ID]++
			c.member.Attach(c.claim(change.ID, change.Dialer))
		} else if sessions[change.ID]--; sessions[change.ID] == 0 {
			delete(sessions, change.ID)
			c.member.Detach(change.ID)
		}
	}
}

func (c *Cluster) claim(id string, d *transport.Dialer) Claim {
	return Claim{ID: id, Node: c.self, Since: d.Info().Since, Doubtful: c.rivals.doubts(id)}
}

// A holder is a cluster as its registry sees it.
type holder Cluster

// Claim implements [Holder].
func (h *holder) Claim(id string) (Claim, bool) {
	c := (*Cluster)(h)
	d, ok := c.clients.Lookup(id)
	if !ok || c.ctx.Err() != nil {
		return Claim{}, false
	}
	return c.claim(id, d), true
}

// Rival implements [Holder]. The news that the client is connected elsewhere may be wrong, so
// it costs this session a ping and no more, if the client is there.
func (h *holder) Rival(rival Claim) {
	c := (*Cluster)(h)
	if rival.Node.Run == c.self.Run {
		return
	}
	if _, ok := c.clients.Lookup(rival.ID); !ok {
		return
	}
	c.rivals.probe(rival.ID, func() {
		alive, err := c.clients.Probe(c.ctx, rival.ID)
		log := c.logger.With("id", redact.Text(rival.ID), "replica", redact.Text(rival.Node.Name), "alive", alive)
		if err != nil {
			log = log.With("err", err)
		}
		log.Info("cluster: client is connected to another replica too")
	})
}
