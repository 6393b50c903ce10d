package qmux

import (
	"fmt"
	"time"
)

// A watchdog ends a session that has lost so much of the connection's credit that no
// more will come (see flight), so that its client connects again. It cannot see what the
// peer has counted, so it bites only when all of this holds:
//
//   - More was on its way on streams that the peer stopped than it can lose. Credit that
//     came since then counts against that.
//   - There is no credit, and a Write waits for it.
//   - So it has been for creditPatience.
//
// A peer that merely does not read stops no streams, and one that counts has to
// return credit for what it stopped. Both at once, in such amounts and for so long, is
// not told from a loss. Guarded by session.Mu.
type watchdog struct {
	timer *time.Timer // while there is no credit; or nil
}

// creditPatience is how long there may be no credit. A peer returns it at once when it
// is due, so this is a round trip and a peer that is busy.
const creditPatience = 10 * time.Second

// rest is called when there is credit, or no session.
func (w *watchdog) rest() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// watchCreditLocked looks whether there is credit, and how much can be lost.
func (s *session) watchCreditLocked() {
	f, w := &s.flight, &s.watchdog
	if s.ErrLocked() != nil || w.timer != nil || f.lost <= f.fatal() || !s.dryLocked() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(creditPatience, func() {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		if w.timer != timer { // credit came at the last moment
			return
		}
		w.timer = nil
		if lost := f.lost; s.UseErrLocked() == nil && s.dryLocked() {
			s.WG.Go(func() { s.starve(lost) })
		}
	})
	w.timer = timer
}

// dryLocked reports whether somebody waits for the connection's credit.
func (s *session) dryLocked() bool {
	if s.out.sent < s.out.maxData {
		return false
	}
	for _, st := range s.streams {
		if (st.writing || st.early != nil) && st.sent < st.limit {
			return true
		}
	}
	return false
}

// starve ends the session because up to so many bytes of credit are lost, and tells the
// peer. Close waits for it.
func (s *session) starve(credit uint64) {
	e := &ConnectionError{
		Code: protocolViolation,
		Reason: fmt.Sprintf("no credit for %v, after up to %d bytes of streams that were stopped: "+
			"if they were not counted, there will be none; a larger initial_max_data than %d helps",
			creditPatience, credit, s.flight.window),
	}
	s.Condemn(s.lost(e)) // whatever the peer does when it hears of it
	s.reproach(e, func() { <-s.read })
}
