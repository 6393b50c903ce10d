package cluster

import (
	"sync"

	"github.com/backdial/backdial/internal/recent"
)

// maxOwners is how many clients' replicas are remembered.
const maxOwners = 65536

// Owners are the replicas that had clients when those were last dialled. Dial asks them first,
// so that it can reach such a client while the registry is away. It does no harm if the client
// has moved: the replica's answer is the truth.
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
