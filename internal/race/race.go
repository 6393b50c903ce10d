// Package race makes several attempts at the same thing beside each other.
package race

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
)

// ErrLost is the cause in an attempt's context when another attempt has won. The errors that
// First returns for such attempts match it.
var ErrLost = errors.New("another attempt was first")

// grace lets attempts return with an error of their own when the context ends.
const grace = time.Second

// An Attempt returns a value, or why it has failed. Its turn came at the time turn.
type Attempt[T any] = func(ctx context.Context, turn time.Time) (T, error)

// First makes attempts until one of them succeeds, and returns its index and its value. Each
// attempt begins stagger after the one before, or when one under way fails; if stagger is 0 or
// less, all begin at once. Each is told when its turn came: on a busy machine it may not run at
// once, but the next one begins stagger after its turn all the same.
//
// When First returns, the context of every attempt ends, with the cause [ErrLost]; a value
// must not depend on it. First does not wait for attempts that have lost. It passes a value
// that comes too late to discard, in a goroutine that ends with it. When ctx ends, First
// begins no more attempts and waits for those under way, for a second at most.
//
// A single attempt has no rival. First makes it in place, with ctx itself, and waits for it as
// long as it takes: a goroutine for it would cost as much as a fifth of a connection over TCP.
//
// If no attempt succeeds, winner is -1. errs has an error for every attempt that has begun and
// not won: its own, or one that matches ErrLost if it was under way when another won, or that
// of ctx. It has nil for an attempt that never began, except for the first.
func First[T any](ctx context.Context, stagger time.Duration, attempts []Attempt[T], discard func(T)) (winner int, value T, errs []error) {
	if len(attempts) == 1 {
		value, err := alone(ctx, attempts[0])
		if err != nil {
			winner = -1
		}
		return winner, value, []error{err}
	}
	r := &race[T]{
		results: make(chan result[T], len(attempts)),
		discard: discard,
	}
	errs = make([]error, len(attempts))
	racing, cancel := context.WithCancelCause(ctx)
	next, running := 0, 0
	begin := func() {
		i := next
		next++
		running++
		began := time.Now()
		go func() {
			v, err := attempts[i](racing, began)
			r.finish(result[T]{i, v, err})
		}()
	}

	turn := time.NewTimer(stagger)
	defer turn.Stop()
	var late <-chan time.Time // when to give up attempts under way
	ended := ctx.Done()
	winner = -1
loop:
	for winner < 0 {
		if ctx.Err() == nil && next < len(attempts) && (running == 0 || stagger <= 0) {
			begin()
			turn.Reset(stagger)
			continue
		}
		if running == 0 {
			break
		}
		select {
		case f := <-r.results:
			running--
			if f.err == nil {
				winner, value = f.attempt, f.value
				break
			}
			errs[f.attempt] = f.err
			if ctx.Err() == nil && next < len(attempts) {
				begin()
				turn.Reset(stagger)
			}
		case <-turn.C:
			// A waiting result decides whether another attempt begins.
			if len(r.results) == 0 && ctx.Err() == nil && next < len(attempts) {
				begin()
				turn.Reset(stagger)
			}
		case <-ended:
			ended = nil
			timer := time.NewTimer(grace)
			defer timer.Stop()
			late = timer.C
		case <-late:
			break loop
		}
	}

	lost := error(ErrLost)
	if winner < 0 && ctx.Err() != nil {
		lost = ctxerr.Of(ctx)
	}
	cancel(ErrLost)
	for _, f := range r.decide() {
		if f.err != nil {
			errs[f.attempt] = f.err
		} else {
			go discard(f.value)
		}
	}
	for i := range errs[:next] {
		if i != winner && errs[i] == nil {
			errs[i] = lost
		}
	}
	if next == 0 && len(errs) > 0 {
		errs[0] = lost // ctx had ended before
	}
	return winner, value, errs
}

func alone[T any](ctx context.Context, attempt Attempt[T]) (value T, err error) {
	if ctx.Err() != nil {
		return value, ctxerr.Of(ctx)
	}
	return attempt(ctx, time.Now())
}

type result[T any] struct {
	attempt int
	value   T
	err     error
}

// A race is the part of First that attempts share with it, and that may outlive it.
type race[T any] struct {
	discard func(T)

	mu      sync.Mutex // guards below
	results chan result[T]
	decided bool
}

// finish delivers the result of an attempt.
func (r *race[T]) finish(f result[T]) {
	r.mu.Lock()
	late := r.decided
	if !late {
		r.results <- f // has room for all
	}
	r.mu.Unlock()
	if late && f.err == nil {
		r.discard(f.value)
	}
}

// decide returns results that First has not received yet. Later ones are discarded.
func (r *race[T]) decide() (rest []result[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decided = true
	for {
		select {
		case f := <-r.results:
			rest = append(rest, f)
		default:
			return rest
		}
	}
}
