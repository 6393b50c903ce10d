package qmux

import (
	"fmt"
	"time"
)

// watchdog ends a session that has lost so much of the connection's credit that no more
// will come (see flight), so that its client connects again. It cannot see what the peer
// has counted, so it acts only when all of this holds:
//
//   - More was on its way on streams that the peer stopped than the window survives
//     losing. Later credit counts against that.
//   - There is no credit, and a Write waits for it.
//   - Both last for creditPatience.
//
// A peer that merely does not read stops no streams, and one that counts must return
// credit for what it stopped. Both at once, in such amounts and for so long, looks the
// same as a loss. Guarded by session.Mu.
type watchdog struct {
	timer *time.Timer // runs while there is no credit; nil otherwise
}

// creditPatience is how long credit may be absent. A peer returns it as soon as it is
// due, so this allows for a round trip and a busy peer.
const creditPatience = 10 * time.Second

// restLocked stops the timer: there is credit, or no session.
func (w *watchdog) restLocked() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// watchCreditLocked starts the timer if there is no credit and too much may be lost.
func (s *session) watchCreditLocked() {
	f, w := &s.flight, &s.watchdog
	if s.ErrLocked() != nil || w.timer != nil || f.lost <= f.fatalLocked() || !s.dryLocked() {
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

// dryLocked reports whether a Write waits for the connection's credit.
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
	s.Condemn(s.lost(e)) // whatever the peer does with the message
	s.reproach(e, func() { <-s.read })
}
