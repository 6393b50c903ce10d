package cluster

import (
	"sync"

	"github.com/backdial/backdial/internal/recent"
)

// maxOwners is of how many clients it is remembered where they were.
const maxOwners = 65536

// Owners are the replicas that had clients when those were last dialled. They are asked
// first, so that such a client can be dialled while the registry is away; and what they
// answer is the truth, so that it does no harm if the client has moved.
type owners struct {
	mu   sync.Mutex
	byID recent.Map[string, Node]
}

func (o *owners) init() { o.byID.Max = maxOwners }

func (o *owners) get(id string) (Node, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byID.Get(id)
}

func (o *owners) set(id string, node Node) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byID.Set(id, node)
}

func (o *owners) forget(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byID.Delete(id)
}
