package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/transport"
)

type counters struct {
	local, remote, moved, failed atomic.Uint64
	relayed                      atomic.Int64
}

// announce tells the registry who comes and goes, until the cluster is closed.
func (c *Cluster) announce() {
	for change := range c.clients.Watch(c.ctx) {
		if change.Gone == nil {
			c.member.Attach(c.claim(change.ID, change.Dialer))
		} else if _, ok := c.clients.Lookup(change.ID); !ok { // or else there is another session
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

// Rival implements [Holder]. That the client is connected elsewhere is told by who may be
// wrong, so it costs this session a ping and no more, if the client is there.
func (h *holder) Rival(rival Claim) {
	c := (*Cluster)(h)
	if rival.Node.Run == c.self.Run {
		return
	}
	if _, ok := c.clients.Lookup(rival.ID); !ok {
		return
	}
	if asked := c.rivals.begin(rival.ID); asked != nil {
		c.wg.Go(func() {
			alive := c.clients.Probe(rival.ID)
			c.logger.Info("cluster: client is connected to another replica too",
				"id", rival.ID, "replica", rival.Node.Name, "alive", alive)
			c.rivals.end(rival.ID, asked)
		})
	}
}

// probePause is how long a client that was alive is not asked again.
const probePause = time.Second

// Rivals are the clients that another replica has too, and that are asked for a sign of
// life because of that, or were a moment ago.
type rivals struct {
	mu   sync.Mutex
	byID map[string]*suspicion
}

type suspicion struct {
	over chan struct{} // closed when the client has answered, or its session is closed
}

// begin returns nil if id is, or was, under suspicion.
func (r *rivals) begin(id string) *suspicion {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[id] != nil {
		return nil
	}
	if r.byID == nil {
		r.byID = make(map[string]*suspicion)
	}
	s := &suspicion{make(chan struct{})}
	r.byID[id] = s
	return s
}

func (r *rivals) end(id string, s *suspicion) {
	close(s.over)
	time.AfterFunc(probePause, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.byID, id)
	})
}

// suspected returns what is closed when nothing is held against a client any more, or
// nil if nothing is.
func (r *rivals) suspected(id string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.byID[id]; s != nil {
		return s.over
	}
	return nil
}

func (r *rivals) doubts(id string) bool {
	over := r.suspected(id)
	if over == nil {
		return false
	}
	select {
	case <-over:
		return false
	default:
		return true
	}
}
