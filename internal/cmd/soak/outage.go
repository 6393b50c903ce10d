package main

import (
	"slices"
	"time"
)

// outages are the outages of a client, and how long it took to answer after each.
type outages struct {
	awaited    *outage // the outage after which an answer is awaited
	recoveries []recovery
}

// An outage is something after which a client may fail to answer.
type outage struct {
	cause string    // "" for one that does not count
	over  time.Time // when the cause was gone
}

// A recovery is how long a client took to answer after an outage.
type recovery struct {
	cause string
	took  time.Duration // 0: another outage came first
}

// await starts to wait for an answer.
func (o *outages) await(cause string) {
	if cause == "" && o.awaited != nil {
		return
	}
	o.end(0)
	o.awaited = &outage{cause, time.Now()}
}

// answered ends the wait, if the exchange began after the outage was over.
func (o *outages) answered(began time.Time) {
	if o.awaited != nil && began.After(o.awaited.over) {
		o.end(time.Since(o.awaited.over))
	}
}

func (o *outages) end(took time.Duration) {
	if o.awaited != nil && o.awaited.cause != "" {
		o.recoveries = append(o.recoveries, recovery{o.awaited.cause, took})
	}
	o.awaited = nil
}

// A spread is a distribution of times, in order.
type spread []time.Duration

// spreadOf returns the times of recoveries from a cause, or from any cause for "".
// interrupted is how often another outage came first.
func spreadOf(all []recovery, cause string) (s spread, interrupted int) {
	for _, r := range all {
		switch {
		case cause != "" && r.cause != cause:
		case r.took == 0:
			interrupted++
		default:
			s = append(s, r.took)
		}
	}
	slices.Sort(s)
	return s, interrupted
}

// at returns the time that the given share of all does not exceed, or 0 if there are
// none.
func (s spread) at(share float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[min(int(share*float64(len(s))), len(s)-1)]
}
