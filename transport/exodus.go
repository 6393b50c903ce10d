package transport

import "sync"

// An exodus is the set of clients that a server asks to move. It finds out if they cannot,
// because there is no other server.
type exodus struct {
	vain chan struct{} // closed when waiting for them is pointless

	mu       sync.Mutex          // guards below
	hopeful  map[*drain]struct{} // clients that have not answered, nor tried in vain
	failures int                 // how often clients have tried in vain
	over     bool                // vain is closed, or a client has moved: there is another server
}

// minFailures is how often clients must try in vain before waiting is pointless: a proxy in
// front of several servers may lead a client back a few times.
const minFailures = 4

func newExodus(dialers ...*Dialer) *exodus {
	e := &exodus{vain: make(chan struct{}), hopeful: make(map[*drain]struct{}, len(dialers))}
	for _, d := range dialers {
		e.hopeful[&d.drain] = struct{}{}
		d.drain.exodus.Store(e)
	}
	return e
}

// failed notes that a client has tried in vain. e may be nil.
func (e *exodus) failed(client *drain) {
	if e != nil {
		e.note(client, 1, false)
	}
}

// answered notes that a client has moved, or that the server stops waiting for it.
func (e *exodus) answered(client *drain, moved bool) { e.note(client, 0, moved) }

func (e *exodus) note(client *drain, failures int, moved bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.hopeful, client)
	e.failures += failures
	switch {
	case e.over:
	case moved:
		e.over = true
	case len(e.hopeful) == 0 && e.failures >= minFailures:
		e.over = true
		close(e.vain)
	}
}
