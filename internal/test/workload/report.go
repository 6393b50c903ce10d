package workload

import (
	"errors"
	"fmt"
	"time"
)

// A Report is what the two sides of a workload have to say together.
type Report struct {
	Exchanges    int // that have ended
	Sent         int // requests
	Seen         int // requests, by the device
	Acknowledged int // requests whose answer has come

	Failed int    // exchanges that ended with an error
	Reason string // the latest of these errors

	Corrupt    int // connections on which something came that was not sent
	Truncated  int // connections that ended early, without an error
	Lost       int // requests whose answer has come and that nobody has seen
	Duplicates int // requests that were seen again

	Longest Call
}

// Verify makes a report. While the two are at work, the caller's record has to be
// the older one.
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

// Add returns the report of two workloads.
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

// Err returns what must not be, or nil: that is a call that took longer than bound,
// pauses of the other side included, and anything that was lost, came twice, was
// truncated or corrupted.
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
