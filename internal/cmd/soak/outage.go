package main

import (
	"slices"
	"time"
)

// Outages are what a client goes through, and how long it does not answer then.
type outages struct {
	awaited    *outage // an answer after this, or nil
	recoveries []recovery
}

// An outage is what a client may not answer after.
type outage struct {
	cause string    // or "" for none that counts
	over  time.Time // when the cause was gone
}

// A recovery is how long a client took to answer after an outage.
type recovery struct {
	cause string
	took  time.Duration // 0: something else came before
}

// await begins to wait for an answer.
func (o *outages) await(cause string) {
	if cause == "" && o.awaited != nil {
		return
	}
	o.end(0)
	o.awaited = &outage{cause, time.Now()}
}

// answered ends the wait, if that is what the exchange means which has begun then.
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

// spreadOf is that of recoveries from a cause, or from any for "". Interrupted is
// how often something else came before.
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

// at returns what a share of all does not exceed, or 0 if there are none.
func (s spread) at(share float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[min(int(share*float64(len(s))), len(s)-1)]
}
