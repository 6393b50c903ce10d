package workload

import (
	"errors"
	"fmt"
	"time"
)

// A Report is what the records of both sides say together.
type Report struct {
	Exchanges    int // that have ended
	Sent         int // requests
	Seen         int // requests, by the device
	Acknowledged int // requests that were answered

	Failed int    // exchanges that ended with an error
	Reason string // the latest of these errors

	Corrupt    int // connections on which something arrived that was not sent
	Truncated  int // connections that ended early, without an error
	Lost       int // requests that were answered, but not seen
	Duplicates int // requests that were seen again

	Longest Call
}

// Verify makes a report. If the two are still at work, the caller's record must be the
// older one.
func Verify(c CallerRecord, d DeviceRecord) Report {
	return Report{
		Exchanges:    c.Exchanges,
		Sent:         int(c.Sent),
		Seen:         d.Seen.Len(),
		Acknowledged: c.Acknowledged.Len(),
		Failed:       c.Failed,
		Reason:       c.Reason,
		Corrupt:      c.Corrupt + d.Corrupt + d.Strays,
		Truncated:    c.Truncated + d.Truncated,
		Lost:         c.Acknowledged.without(d.Seen).Len(),
		Duplicates:   d.Duplicates,
		Longest:      longer(c.Longest, d.Longest),
	}
}

// Add returns the report for two workloads together.
func (r Report) Add(other Report) Report {
	r.Exchanges += other.Exchanges
	r.Sent += other.Sent
	r.Seen += other.Seen
	r.Acknowledged += other.Acknowledged
	r.Failed += other.Failed
	if other.Reason != "" {
		r.Reason = other.Reason
	}
	r.Corrupt += other.Corrupt
	r.Truncated += other.Truncated
	r.Lost += other.Lost
	r.Duplicates += other.Duplicates
	r.Longest = longer(r.Longest, other.Longest)
	return r
}

// Err returns the violations, or nil: a call that took longer than bound, including
// pauses of the other side, and anything that was lost, duplicated, truncated or
// corrupted.
func (r Report) Err(bound time.Duration) error {
	var all []error
	add := func(format string, args ...any) { all = append(all, fmt.Errorf("workload: "+format, args...)) }
	if r.Lost > 0 {
		add("%d requests were acknowledged, and not delivered", r.Lost)
	}
	if r.Duplicates > 0 {
		add("%d requests were delivered again", r.Duplicates)
	}
	if r.Truncated > 0 {
		add("%d connections ended early, without an error", r.Truncated)
	}
	if r.Corrupt > 0 {
		add("%d connections brought something that was not sent", r.Corrupt)
	}
	if r.Longest.Took > bound {
		add("%s took %v, longer than %v", r.Longest.Name, r.Longest.Took, bound)
	}
	return errors.Join(all...)
}
