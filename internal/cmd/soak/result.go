package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/backdial/backdial/internal/test/workload"
)

// A result is the result for the clients of a stack, or of all stacks.
type result struct {
	stack *stack

	clients    int
	sessions   int
	moves      int
	gaps       int
	ended      [workload.Classes]int
	report     workload.Report
	recoveries []recovery
	away       []error // clients that do not answer at the end
}

// resultOf returns the result for a client whose caller has stopped.
func resultOf(c *client) result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := result{
		stack:   c.stack,
		clients: 1, sessions: c.sessions, moves: c.moves, gaps: c.gaps, ended: c.ended, recoveries: c.recoveries,
		report: workload.Verify(c.caller.Record(), c.device.Record()),
	}
	if c.awaited != nil {
		r.away = []error{fmt.Errorf("client %d does not answer, %v after the last fault: %w",
			c.number, time.Since(c.awaited.over).Round(time.Second), c.whyLocked())}
	}
	return r
}

// whyLocked returns why a client does not answer, if that is known.
func (c *client) whyLocked() error {
	if c.listener == nil {
		return errors.New("it has never connected")
	}
	if err := c.listener.Err(); err != nil {
		return err
	}
	return errors.New("its listener goes on")
}

func (r result) add(other result) result {
	r.clients += other.clients
	r.sessions += other.sessions
	r.moves += other.moves
	r.gaps += other.gaps
	for class, n := range other.ended {
		r.ended[class] += n
	}
	r.report = r.report.Add(other.report)
	r.recoveries = slices.Concat(r.recoveries, other.recoveries)
	r.away = slices.Concat(r.away, other.away)
	return r
}

// resultsOf returns the results for each stack.
func resultsOf(stacks []stack, clients []*client) []result {
	all := make([]result, len(stacks))
	for i := range stacks {
		all[i].stack = &stacks[i]
		for _, c := range clients {
			if c.stack == &stacks[i] {
				all[i] = all[i].add(resultOf(c))
			}
		}
	}
	return all
}

// judged is the report without what only the workload can notice.
func (r result) judged() workload.Report {
	judged := r.report
	if r.stack.noisy {
		judged.Corrupt, judged.Truncated = 0, 0
	}
	return judged
}

// err returns the violations, or nil. No call may take longer than bound.
func (r result) err(bound time.Duration) error {
	err := r.judged().Err(bound)
	if len(r.away) > 0 {
		err = errors.Join(err, fmt.Errorf("%d clients are not back: %w", len(r.away), r.away[0]))
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", r.stack.name, err)
	}
	return err
}
