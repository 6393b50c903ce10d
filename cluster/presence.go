package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/backdial/backdial/redact"
	"github.com/backdial/backdial/transport"
)

type counters struct {
	local, remote, moved, failed atomic.Uint64
	relayed                      atomic.Int64
}

// announce tells the registry who comes and goes, until the cluster is closed. A client has
// gone with the last session that the registry was told of: of one that is there now it may
// never be told.
func (c *Cluster) announce() {
	sessions := make(map[string]int) // that the registry was told of, by ID
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
	c.rivals.probe(rival.ID, func() {
		alive, err := c.clients.Probe(c.ctx, rival.ID)
		log := c.logger.With("id", redact.Text(rival.ID), "replica", redact.Text(rival.Node.Name), "alive", alive)
		if err != nil {
			log = log.With("err", err)
		}
		log.Info("cluster: client is connected to another replica too")
	})
}

// probePause is how long a client that was alive is not asked again.
const probePause = time.Second

// Rivals are the clients that another replica has too, and that are asked for a sign of
// life because of that, or were a moment ago.
type rivals struct {
	wg sync.WaitGroup // of probes

	mu     sync.Mutex // guards below
	closed bool
	byID   map[string]chan struct{} // closed when the client has answered, or its session is closed
}

// probe calls ask in a goroutine, unless a client was asked a moment ago.
func (r *rivals) probe(id string, ask func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.byID[id] != nil {
		return
	}
	if r.byID == nil {
		r.byID = make(map[string]chan struct{})
	}
	over := make(chan struct{})
	r.byID[id] = over
	r.wg.Go(func() {
		ask()
		close(over)
		time.AfterFunc(probePause, func() { r.forget(id) })
	})
}

func (r *rivals) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, id)
}

// close has no client be asked any more, and waits for those that are.
func (r *rivals) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wg.Wait()
}

// suspected returns what is closed when nothing is held against a client any more, or
// nil if nothing is.
func (r *rivals) suspected(id string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[id]
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
