package natsregistry

import (
	"slices"
	"time"

	"github.com/backdial/backdial/cluster"
)

const (
	// doubtGrace is how long to wait for a better claim than a Doubtful one.
	doubtGrace = 20 * time.Millisecond

	// lastGrace is how long to wait for answers of others when those that came do not count: a
	// replica may be on another continent.
	lastGrace = 300 * time.Millisecond

	// watchGrace is how long to wait for the latest claim.
	watchGrace = 100 * time.Millisecond
)

// A tally counts the answers to a query. It does not know how many there will be.
type tally struct {
	except  []string
	patient bool        // waits for others even if there is a good claim
	trusted func() bool // the lack of answers counts; see link.isTrusted

	best    *cluster.Claim
	skipped bool             // a node in except claims the client
	decided <-chan time.Time // when to stop waiting for something better
}

// count counts an answer, and returns true if that decides.
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

// grace returns how long to wait for others after the first claim that counts.
func (t *tally) grace() time.Duration {
	if t.patient {
		return watchGrace
	}
	return doubtGrace
}

// close counts the answers that came until the decision. It returns false if others may still
// be on their way back; then the query goes on.
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

// result returns the best claim.
func (t *tally) result() (cluster.Claim, error) {
	switch {
	case t.best != nil:
		return *t.best, nil
	case t.skipped:
		return cluster.Claim{}, cluster.ErrMoved
	}
	return cluster.Claim{}, cluster.ErrNotConnected
}
