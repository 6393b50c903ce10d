package natsregistry

import (
	"slices"
	"time"

	"github.com/backdial/backdial/cluster"
)

const (
	// doubtGrace is how long one waits for a better claim than one that is Doubtful.
	doubtGrace = 20 * time.Millisecond

	// lastGrace is how long one waits for others than those whose answers do not count:
	// a replica on another continent is among them.
	lastGrace = 300 * time.Millisecond

	// watchGrace is how long one waits for the latest claim that there is.
	watchGrace = 100 * time.Millisecond
)

// A tally is what the answers to a query amount to. How many there will be is not known.
type tally struct {
	except  []string
	patient bool        // waits for others even if there is a good claim
	trusted func() bool // those who were there before an outage are back

	best    *cluster.Claim
	skipped bool             // there is a claim by one of except
	decided <-chan time.Time // when nothing better is waited for any more
}

// count returns true if an answer settles the matter.
func (t *tally) count(a answer) bool {
	switch {
	case a.nobody:
		t.skipped = false
		return t.best == nil && t.trusted()
	case a.none || slices.Contains(t.except, a.claim.Node.Run):
		t.skipped = t.skipped || !a.none
		if t.decided == nil {
			t.decided = time.After(lastGrace)
		}
		return false
	}
	if t.best == nil {
		t.decided = time.After(t.grace())
	}
	if t.best == nil || a.claim.Before(*t.best) {
		t.best = &a.claim
	}
	return !t.best.Doubtful && !t.patient
}

// grace is how long one waits for others than the first whose claim counts.
func (t *tally) grace() time.Duration {
	if t.patient {
		return watchGrace
	}
	return doubtGrace
}

// close counts what else has come by the time that is decided. It returns false if others
// may still be on their way back, who are asked again.
func (t *tally) close(answers <-chan answer) bool {
	t.decided = nil
	for {
		select {
		case a := <-answers:
			t.count(a)
		default:
			return t.best != nil || t.trusted()
		}
	}
}

// result returns the best claim that there was.
func (t *tally) result() (cluster.Claim, error) {
	switch {
	case t.best != nil:
		return *t.best, nil
	case t.skipped:
		return cluster.Claim{}, cluster.ErrMoved
	}
	return cluster.Claim{}, cluster.ErrNotConnected
}
