package race

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const second = time.Second

var errRefused = errors.New("refused")

// A course is a race with attempts that take their time, and what came of it.
type course struct {
	mu        sync.Mutex
	began     []time.Time
	ended     []error // the causes of the ends of contexts
	discarded []int
	attempts  []Attempt[int]
}

// newCourse makes one attempt of each script, which says when the attempt returns, and
// what. An attempt ends with its context only if it heeds it.
type script struct {
	after time.Duration // 0: never by itself
	err   error
	deaf  bool
}

func newCourse(scripts ...script) *course {
	c := &course{began: make([]time.Time, len(scripts)), ended: make([]error, len(scripts))}
	for i, s := range scripts {
		c.attempts = append(c.attempts, func(ctx context.Context, turn time.Time) (int, error) {
			c.mu.Lock()
			c.began[i] = turn
			c.mu.Unlock()
			done, after := ctx.Done(), make(<-chan time.Time)
			if s.after > 0 {
				after = time.After(s.after)
			}
			if s.deaf {
				done = nil
			}
			select {
			case <-after:
				return 100 + i, s.err
			case <-done:
				c.mu.Lock()
				c.ended[i] = context.Cause(ctx)
				c.mu.Unlock()
				return 0, fmt.Errorf("attempt %d: %w", i, context.Cause(ctx))
			}
		})
	}
	return c
}

func (c *course) discard(v int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.discarded = append(c.discarded, v)
}

func TestFirst(t *testing.T) {
	const never = -1 * time.Nanosecond
	for _, test := range []struct {
		name      string
		stagger   time.Duration
		timeout   time.Duration // 0: none
		scripts   []script
		winner    int
		took      time.Duration
		began     []time.Duration
		errs      []error
		discarded []int
	}{{
		name:    "nothing to try",
		stagger: second,
		winner:  -1,
	}, {
		name:    "nobody to race with",
		stagger: second,
		scripts: []script{{after: 5 * second}},
		winner:  0, took: 5 * second,
		began: []time.Duration{0},
		errs:  []error{nil},
	}, {
		name:    "nobody to race with, and it fails",
		stagger: second,
		scripts: []script{{after: second, err: errRefused}},
		winner:  -1, took: second,
		began: []time.Duration{0},
		errs:  []error{errRefused},
	}, {
		name:    "nobody to race with, and the context has ended",
		stagger: second, timeout: never,
		scripts: []script{{after: second}},
		winner:  -1,
		began:   []time.Duration{never},
		errs:    []error{context.DeadlineExceeded},
	}, {
		name:    "the first in its head start",
		stagger: second,
		scripts: []script{{after: second / 2}, {after: second}},
		winner:  0, took: second / 2,
		began: []time.Duration{0, never},
		errs:  []error{nil, nil},
	}, {
		name:    "the first beside the second",
		stagger: second,
		scripts: []script{{after: 2 * second}, {after: 3 * second}},
		winner:  0, took: 2 * second,
		began: []time.Duration{0, second},
		errs:  []error{nil, ErrLost},
	}, {
		name:    "black holes",
		stagger: second,
		scripts: []script{{}, {}, {after: second / 4}},
		winner:  2, took: 2*second + second/4,
		began: []time.Duration{0, second, 2 * second},
		errs:  []error{ErrLost, ErrLost, nil},
	}, {
		name:    "a failure hurries the next, which has a head start of its own",
		stagger: second,
		scripts: []script{{after: second / 2, err: errRefused}, {after: 5 * second}, {after: second}},
		winner:  2, took: 2*second + second/2,
		began: []time.Duration{0, second / 2, second + second/2},
		errs:  []error{errRefused, ErrLost, nil},
	}, {
		name:    "a failure beside another attempt hurries the next",
		stagger: second,
		scripts: []script{{after: second + second/2, err: errRefused}, {}, {after: second}},
		winner:  2, took: 2*second + second/2,
		began: []time.Duration{0, second, second + second/2},
		errs:  []error{errRefused, ErrLost, nil},
	}, {
		name:    "all fail",
		stagger: second,
		scripts: []script{{after: second / 2, err: errRefused}, {after: second / 2, err: errRefused}},
		winner:  -1, took: second,
		began: []time.Duration{0, second / 2},
		errs:  []error{errRefused, errRefused},
	}, {
		name:    "no stagger",
		scripts: []script{{after: 3 * second}, {after: 2 * second}, {after: second, err: errRefused}},
		winner:  1, took: 2 * second,
		began: []time.Duration{0, 0, 0},
		errs:  []error{ErrLost, nil, errRefused},
	}, {
		name:    "the context ends",
		stagger: second, timeout: second + second/2,
		scripts: []script{{}, {}, {}},
		winner:  -1, took: second + second/2,
		began: []time.Duration{0, second, never},
		errs:  []error{context.DeadlineExceeded, context.DeadlineExceeded, nil},
	}, {
		name:    "an attempt that does not heed the context",
		stagger: second, timeout: second / 2,
		scripts: []script{{after: time.Hour, deaf: true}, {}},
		winner:  -1, took: second/2 + grace,
		began:     []time.Duration{0, never},
		errs:      []error{context.DeadlineExceeded, nil},
		discarded: []int{100},
	}, {
		name:    "the context has ended",
		stagger: second, timeout: never,
		scripts: []script{{after: second}, {}},
		winner:  -1,
		began:   []time.Duration{never, never},
		errs:    []error{context.DeadlineExceeded, nil},
	}, {
		name:    "a value comes too late",
		stagger: second,
		scripts: []script{{after: time.Hour, deaf: true}, {after: time.Minute, err: errRefused, deaf: true}, {after: second}},
		winner:  2, took: 3 * second,
		began:     []time.Duration{0, second, 2 * second},
		errs:      []error{ErrLost, ErrLost, nil},
		discarded: []int{100},
	}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.timeout != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				start := time.Now()
				c := newCourse(test.scripts...)
				winner, value, errs := First(ctx, test.stagger, c.attempts, c.discard)
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if winner != test.winner {
					t.Fatalf("winner %d, want %d", winner, test.winner)
				}
				if want := 100 + winner; winner >= 0 && value != want {
					t.Errorf("value %d, want %d", value, want)
				}
				if len(errs) != len(test.errs) {
					t.Fatalf("errors %v, want %v", errs, test.errs)
				}
				for i, err := range errs {
					if !errors.Is(err, test.errs[i]) {
						t.Errorf("attempt %d: error %v, want %v", i, err, test.errs[i])
					}
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				c.mu.Lock()
				defer c.mu.Unlock()
				if !slices.Equal(c.discarded, test.discarded) {
					t.Errorf("discarded %v, want %v", c.discarded, test.discarded)
				}
				for i, began := range c.began {
					at := began.Sub(start)
					if began.IsZero() {
						at = never
					}
					if at != test.began[i] {
						t.Errorf("attempt %d began after %v, want %v", i, at, test.began[i])
					}
					if cause := c.ended[i]; winner >= 0 && cause != nil && cause != ErrLost {
						t.Errorf("the context of attempt %d ended with %v, want %v", i, cause, ErrLost)
					}
				}
			})
		})
	}
}

// Two attempts succeed at the same moment: one wins, one is discarded.
func TestDeadHeat(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			c := newCourse(script{after: second, deaf: true}, script{after: second, deaf: true})
			winner, value, errs := First(t.Context(), 0, c.attempts, c.discard)
			synctest.Wait()
			loser := 1 - winner
			if value != 100+winner || !errors.Is(errs[loser], ErrLost) || !reflect.DeepEqual(c.discarded, []int{100 + loser}) {
				t.Errorf("winner %d with %d, errors %v, discarded %v", winner, value, errs, c.discarded)
			}
		})
	}
}
