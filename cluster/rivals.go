package cluster

import (
	"sync"
	"time"
)

// probePause is how long a client is left alone that was alive.
const probePause = time.Second

// Rivals are the clients that another replica has too. A probe asks each whether it is alive
// here, or did so a moment ago.
type rivals struct {
	wg sync.WaitGroup // of probes

	mu     sync.Mutex // guards below
	closed bool
	byID   map[string]chan struct{} // closed when the client has answered, or its session is closed
}

// probe calls ask in a goroutine, unless the client was asked a moment ago.
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

// close lets no other probe begin, and waits for those under way.
func (r *rivals) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wg.Wait()
}

// suspected returns a channel that is closed when the probe of a client is over, or nil if
// there is none.
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
