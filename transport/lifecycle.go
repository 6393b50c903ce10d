package transport

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// A lifecycle is the life of a listener.
//
//	          ┌────────────┐ a session  ┌───────────┐ Shutdown, or Close
//	start ──► │ connecting ├───────────►│ connected ├─ while in use ─┐
//	          └─▲────────┬─┘            └┬──┬─────▲─┘                │
//	            │        │ it failed     │  │     │ another session  │
//	            │ time   ▼               │  │     │                  ▼
//	          ┌─┴──────────┐  it is lost │  │   ┌─┴──────┐     ┌──────────┐
//	          │  waiting   │◄────────────┘  └──►│ moving │     │ draining │
//	          └────────────┘       its server   └─┬──────┘     └─────┬────┘
//	            ▲                  asks for that  │ it is lost       │ drained
//	            └─────────────────────────────────┘                  ▼
//	Close, or an error after which nothing is tried again, from all: ended
//
// A listener that moves has a session all the time. The session that it has left goes on until
// its streams are done, and its server closes it.
//
// It has a [lane] for each session that it holds at a time, usually one. Each lane goes
// through these states, and the listener is in the best of them.
//
// Its goroutines are those that make the next session of a lane, and the one that close
// starts, which ends with the last session.
type lifecycle struct {
	client *Client
	config config

	ctx        context.Context // ends with the listener; its cause is why
	end        context.CancelCauseFunc
	connecting context.Context // ends when the listener wants no other session
	stop       context.CancelFunc
	wg         sync.WaitGroup // goroutines that make the next session, and sessions until their end is handled

	telling sync.Mutex // held while StateChanged runs; locked before mu

	mu       sync.Mutex // guards below
	state    State
	session  *session   // the latest
	live     []*session // have not ended; the latest last
	closing  bool       // close or shutdown was called
	closed   bool       // close was called: accept nothing
	lanes    []lane
	only     [1]lane // the lanes of most listeners
	turn     turn
	arrivals arrivals
}

// maxLeft is how many sessions a listener keeps that it has left, if its servers ask it to
// move again and again and never let go.
const maxLeft = 7

func newLifecycle(c *Client) *lifecycle {
	l := &lifecycle{client: c, config: c.config.withDefaults()}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.connecting, l.stop = context.WithCancel(l.ctx)
	l.lanes = l.only[:]
	if l.config.sessions > 1 {
		l.lanes = make([]lane, l.config.sessions)
	}
	for i := range l.lanes {
		l.lanes[i].life = l
	}
	l.lanes[0].started = true
	l.arrivals.most = maxLeft + len(l.lanes)
	l.arrivals.changeLocked()
	return l
}

// set is the only method that changes the state: that of a lane, and so perhaps the
// listener's, or that of the whole listener if ln is nil. It reports false if the listener can
// no longer get into that state.
func (l *lifecycle) set(ln *lane, to State, s *session, change StateChange) bool {
	l.telling.Lock()
	defer l.telling.Unlock()
	whole, ok := l.setState(ln, to, s, change)
	if !ok {
		return false
	}
	if change.Wait > 0 {
		ln.logPause(change)
	}
	// Report only changes of state, pauses of the listener, and trouble of a lane that does
	// not end by itself.
	news := whole.From != whole.To || to == whole.To && to != StateConnected || change.Refused > 0 || to == StateEnded
	if news && l.config.trace.StateChanged != nil {
		l.config.trace.StateChanged(whole)
	}
	if whole.To == StateEnded {
		l.end(whole.Err)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.arrivals.changeLocked()
	}
	return true
}

// setState changes the state, and returns the change of the listener's.
func (l *lifecycle) setState(ln *lane, to State, s *session, change StateChange) (whole StateChange, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == StateEnded || l.closing && to < StateDraining || l.state == to && to == StateDraining {
		return change, false
	}
	if ln != nil {
		ln.state = to
	}
	if s != nil {
		change.Info = s.describe()
	}
	if s != nil && s != ln.session {
		ln.session, l.session = s, s
		l.live = append(l.live, s)
		l.arrivals.addLocked(s)
	}
	change.From, change.To = l.state, l.wholeLocked(ln, to)
	if change.To != to {
		change.Wait, change.Attempt = 0, 0 // those of another lane
	}
	l.state = change.To
	return change, true
}

// wholeLocked returns the state of the listener when a lane gets into state to: the best state
// of a lane with a session, or else to. It ends with its last lane.
func (l *lifecycle) wholeLocked(changed *lane, to State) State {
	if changed == nil || to == StateConnected {
		return to
	}
	whole := to
	for i := range l.lanes {
		ln := &l.lanes[i]
		if ln == changed || !ln.started {
			continue
		}
		switch {
		case ln.state == StateConnected && ln.session.alive():
			return StateConnected
		case ln.state == StateMoving && ln.session.alive():
			whole = StateMoving
		case whole == StateEnded && ln.state != StateEnded:
			whole = StateWaiting // for that lane
		}
	}
	return whole
}

// start makes the first session. ctx limits that.
func (l *lifecycle) start(ctx context.Context) error {
	first := &l.lanes[0]
	err := first.connect(ctx, nil)
	if err != nil {
		first.set(StateEnded, nil, StateChange{Err: err})
	}
	return err
}

// begin begins s in a lane.
func (l *lifecycle) begin(ln *lane, s *session) {
	if !ln.set(StateConnected, s, StateChange{}) {
		s.mux.Close() // not announced yet
		return
	}
	l.wg.Add(1) // safe: close cannot be in Wait yet
	s.begin(func(m controlMessage) {
		switch m.kind {
		case controlMove:
			ln.move(s, m.delay)
		case controlEnding:
			if r := EndReason(m.text); r.isTold() {
				s.heardReason(r)
			}
		case controlClosing:
			s.heardReason(&ClosedError{m.text, namedReason(load(&s.theirs))})
		case controlServer:
			ln.serverKnown(s, m.text)
		}
	}, func() {
		defer l.wg.Done()
		ln.sessionEnded(s)
	})
	for _, surplus := range l.surplus() {
		surplus.closeBecause(EndMoved)
		surplus.mux.Close()
	}
}

// surplus returns the sessions beyond maxLeft that the listener has left, the oldest ones.
func (l *lifecycle) surplus() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var left []*session
	for _, s := range l.live {
		if !l.isHeldLocked(s) {
			left = append(left, s)
		}
	}
	return left[:max(len(left)-maxLeft, 0)]
}

// sessions returns the sessions that have not ended, the latest last.
func (l *lifecycle) sessions() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.live)
}

// latest returns the latest session that the listener holds, or held.
func (l *lifecycle) latest() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.latestLocked(nil); s != nil {
		return s
	}
	return l.session
}

// latestLocked returns the latest session that the listener holds and that is not in but.
func (l *lifecycle) latestLocked(but []*session) *session {
	for _, s := range slices.Backward(l.live) {
		if l.isHeldLocked(s) && !slices.Contains(but, s) {
			return s
		}
	}
	return nil
}

// isHeldLocked reports whether s is the latest session of a lane, and so one to use.
func (l *lifecycle) isHeldLocked(s *session) bool {
	for i := range l.lanes {
		if l.lanes[i].session == s {
			return true
		}
	}
	return false
}

// close stops accepting, lets no other session begin, and ends sessions when their connections
// are closed, or soon. If no connection is in use it waits for that. Otherwise it waits until
// the servers have what was written, but not for long.
func (l *lifecycle) close() {
	sessions := l.stopConnecting()
	if l.stopAccepting() {
		if slices.ContainsFunc(sessions, l.isInUse) {
			l.beginDrain(sessions)
		}
		go l.endSoon(sessions)
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.config.session.WithDefaults().Linger)
	defer cancel()
	eachAtOnce(sessions, func(s *session) error {
		if l.isInUse(s) {
			return s.delivered(ctx)
		}
		select {
		case <-s.mux.Context().Done():
		case <-ctx.Done():
		}
		return nil
	})
	if !slices.ContainsFunc(l.sessions(), l.isInUse) {
		<-l.ctx.Done()
	}
}

// isInUse reports whether connections of s are in use, for which close does not wait.
func (l *lifecycle) isInUse(s *session) bool {
	return l.config.closeGrace >= 0 && s.alive() && s.mux.Streams() > 0
}

// stopAccepting makes Accept fail, and reports whether it did not before.
func (l *lifecycle) stopAccepting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed = true
	l.arrivals.changeLocked()
	return true
}

// endSoon ends sessions when their connections are closed, or closeGrace has passed. In that
// case it ends the listener before it cuts connections, so that their users find the reason in
// Err.
func (l *lifecycle) endSoon(sessions []*session) {
	end := func(s *session) error { return s.mux.Close() }
	if grace := l.config.closeGrace; grace >= 0 {
		late := time.AfterFunc(grace, func() {
			l.set(nil, StateEnded, nil, StateChange{Err: errListenerClosed})
			eachAtOnce(sessions, end)
		})
		defer late.Stop()
		eachAtOnce(sessions, func(s *session) error { return s.mux.Shutdown(s.mux.Context()) })
	} else {
		eachAtOnce(sessions, end)
	}
	l.finish(errListenerClosed)
}

// shutdown drains all sessions, and lets no other begin.
func (l *lifecycle) shutdown(ctx context.Context) error {
	sessions := l.stopConnecting()
	l.beginDrain(sessions)
	err := eachAtOnce(sessions, func(s *session) error {
		s.closeBecause(EndShutdown)
		return s.mux.Shutdown(ctx)
	})
	l.finish(errListenerShutDown)
	return err
}

// beginDrain tells the servers that the client is about to leave.
func (l *lifecycle) beginDrain(sessions []*session) {
	l.set(nil, StateDraining, nil, StateChange{})
	for _, s := range sessions {
		s.say(controlMessage{kind: controlLeaving}) // best effort
	}
}

// stopConnecting lets no other session begin, and returns those that are live.
func (l *lifecycle) stopConnecting() []*session {
	l.mu.Lock()
	l.closing = true
	sessions := slices.Clone(l.live)
	spare := l.arrivals.takeSpareLocked()
	l.mu.Unlock()
	l.stop()
	for _, conn := range spare { // nobody has accepted them
		conn.Close()
	}
	return sessions
}

// finish ends the listener when its sessions have ended: with err, or with the error of its
// only session.
func (l *lifecycle) finish(err error) {
	l.wg.Wait()
	if l.config.backoff == nil { // otherwise the latest session may have ended long ago
		err = l.latest().err()
	}
	l.set(nil, StateEnded, nil, StateChange{Err: err})
}

var (
	errListenerClosed   = closedHere(nil, net.ErrClosed)
	errListenerShutDown = closedHere(EndShutdown, net.ErrClosed)
)
