package natsregistry

import (
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster"
)

// An answer is the result of a request.
type answer struct {
	claim  cluster.Claim
	nobody bool // the engine says that no replica has subscribed
	none   bool // the replica does not have the client
}

// A query is a Locate that waits for answers.
type query struct {
	id      string
	answers chan answer
}

// hear handles a reply, which anyone may have sent.
func (q *query) hear(msg *nats.Msg) {
	var a answer
	switch status := msg.Header.Get(statusHeader); {
	case status == noResponders && len(msg.Data) == 0:
		a.nobody = true
	case status != "":
		return
	default:
		m, err := decode(msg.Data)
		if err != nil {
			return
		}
		a.claim, a.none = m.of(q.id), m.None
	}
	select {
	case q.answers <- a:
	default:
	}
}

// newQuery returns a query, and the request whose answers it hears until forget is called.
func (r *Registry) newQuery(id string) (q *query, req request, forget func()) {
	q = &query{id, make(chan answer, answers)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	number := r.asked
	r.queries[number] = q
	req = request{r.subjects.locate + token(id), r.inbox + "." + tokenLocate + "." + strconv.FormatUint(number, 36)}
	return q, req, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.queries, number)
	}
}
