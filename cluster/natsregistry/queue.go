package natsregistry

import "github.com/backdial/backdial/cluster"

// A queue is of clients that something has to be announced of, each of which is in it once.
type queue struct {
	ids    []string
	claims map[string]*cluster.Claim // by ID; nil if there is none
}

// put has a client be in the queue, with the claim that was put last.
func (q *queue) put(id string, c *cluster.Claim) {
	if q.claims == nil {
		q.claims = make(map[string]*cluster.Claim)
	}
	if _, ok := q.claims[id]; !ok {
		q.ids = append(q.ids, id)
	}
	q.claims[id] = c
}

// take returns the client that is in the queue for longest.
func (q *queue) take() (id string, c *cluster.Claim, ok bool) {
	if len(q.ids) == 0 {
		*q = queue{} // and what it has grown to
		return "", nil, false
	}
	id, q.ids = q.ids[0], q.ids[1:]
	c = q.claims[id]
	delete(q.claims, id)
	return id, c, true
}
