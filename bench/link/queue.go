package link

import (
	"context"
	"sync"
	"time"
)

// A queue holds things until they are due, in order. One goroutine puts, another takes.
type queue[T any] struct {
	added chan struct{} // holds a token after a put

	mu    sync.Mutex // guards below
	items []timed[T]
}

type timed[T any] struct {
	what T
	due  time.Time
}

func newQueue[T any]() *queue[T] { return &queue[T]{added: make(chan struct{}, 1)} }

func (q *queue[T]) put(what T, due time.Time) {
	q.mu.Lock()
	q.items = append(q.items, timed[T]{what, due})
	q.mu.Unlock()
	signal(q.added)
}

// take waits until something is due, and appends everything that is to due. It returns
// false if ctx ends first.
func (q *queue[T]) take(ctx context.Context, due []T) ([]T, bool) {
	for {
		var wait time.Duration
		due, wait = q.takeNow(due)
		switch {
		case len(due) > 0:
			return due, true
		case wait > 0:
			if !sleep(ctx, wait) {
				return due, false
			}
		default:
			select {
			case <-q.added:
			case <-ctx.Done():
				return due, false
			}
		}
	}
}

// takeNow is take without the wait. It returns how long to wait until something is due,
// or 0 if the queue is empty.
func (q *queue[T]) takeNow(due []T) ([]T, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	n := 0
	for n < len(q.items) && !q.items[n].due.After(now) {
		due = append(due, q.items[n].what)
		n++
	}
	q.items = q.items[n:]
	if len(q.items) == 0 {
		return due, 0
	}
	return due, q.items[0].due.Sub(now)
}

// signal puts a token into a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep waits for d. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
