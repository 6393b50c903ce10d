package life

import (
	"context"
	"slices"
	"sync"
)

// A queue holds callers that wait for something that only one of them can get at a time.
// Waking them all would cost more than most of them gain. Its methods are called with the
// session's lock held.
type queue struct{ waiting []chan struct{} }

// await unlocks mu until it is the caller's turn, or ctx ends.
func (q *queue) await(ctx context.Context, mu *sync.Mutex) {
	turn := make(chan struct{})
	q.waiting = append(q.waiting, turn)
	mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
	}
	mu.Lock()
	if i := slices.Index(q.waiting, turn); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// next wakes the caller that has waited longest.
func (q *queue) next() {
	if len(q.waiting) > 0 {
		close(q.waiting[0])
		q.waiting = slices.Delete(q.waiting, 0, 1)
	}
}

// all wakes every caller.
func (q *queue) all() {
	for _, turn := range q.waiting {
		close(turn)
	}
	q.waiting = nil
}
