package muxtest

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// deadlineOnTime measures when calls end whose deadline is set before or while they
// block: never early, and late only if the machine is busy.
func deadlineOnTime(t *testing.T, connect Connect) {
	const after, late = 50 * time.Millisecond, 100 * time.Millisecond
	p := connect.pair(t, mux.Config{}, mux.Config{})
	st, _ := p.open(t)
	st.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	await(t, "Write", writing(st)) // the window is full now
	for what, c := range map[string]struct {
		start func(mux.Stream) <-chan error
		set   func(time.Time) error
	}{"Read": {reading, st.SetReadDeadline}, "Write": {writing, st.SetWriteDeadline}} {
		wantOnTime := func(when string, block func(at time.Time) <-chan error) {
			t.Helper()
			wantPrompt(t, late, func() time.Duration {
				at := time.Now().Add(after)
				if err := await(t, what, block(at)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: error %v, want os.ErrDeadlineExceeded", what, err)
				}
				if early := time.Until(at); early > 0 {
					t.Errorf("%s with a deadline set %s ends %v early", what, when, early)
				}
				return time.Since(at)
			})
		}
		wantOnTime("before", func(at time.Time) <-chan error {
			c.set(at)
			return c.start(st)
		})
		wantOnTime("meanwhile", func(at time.Time) <-chan error {
			c.set(time.Time{})
			blocked := c.start(st)
			letBlock()
			c.set(at)
			return blocked
		})
	}
}
