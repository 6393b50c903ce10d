package natsregistry

import "github.com/backdial/backdial/cluster"

// A queue holds clients about which something has to be announced, each of them once.
type queue struct {
	ids    []string
	claims map[string]*cluster.Claim // by ID; nil if there is none
}

// put puts a client into the queue; the latest claim counts.
func (q *queue) put(id string, c *cluster.Claim) {
	if q.claims == nil {
		q.claims = make(map[string]*cluster.Claim)
	}
	if _, ok := q.claims[id]; !ok {
		q.ids = append(q.ids, id)
	}
	q.claims[id] = c
}

// take removes the client that has waited longest.
func (q *queue) take() (id string, c *cluster.Claim, ok bool) {
	if len(q.ids) == 0 {
		*q = queue{} // releases its memory
		return "", nil, false
	}
	id, q.ids = q.ids[0], q.ids[1:]
	c = q.claims[id]
	delete(q.claims, id)
	return id, c, true
}
