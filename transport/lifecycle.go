package transport

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// A lifecycle is the life of a listener.
//
//	          ┌────────────┐ a session  ┌───────────┐
//	start ──► │ connecting ├───────────►│ connected ├──── Shutdown ──┐
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
// A listener that moves has a session all the time. The one that it has left goes
// on until its streams are done, and its server closes it.
//
// It has no goroutine but the one that makes the next session ([succession]), which
// close and shutdown wait for.
type lifecycle struct {
	client *Client
	config config

	ctx        context.Context // ends with the listener, and tells why
	end        context.CancelCauseFunc
	connecting context.Context // ends when no other session is wanted
	stop       context.CancelFunc
	wg         sync.WaitGroup // the goroutine that makes the next session, and the ends of sessions

	telling sync.Mutex // held while the trace is told, before mu

	mu         sync.Mutex // guards below
	state      State
	session    *session   // the latest
	live       []*session // those that have not ended, the latest last
	closing    bool       // close or shutdown was called
	succession succession
	arrivals   arrivals
}

// maxLive is how many sessions a listener has at a time, if its servers ask it to
// move again and again and never let go.
const maxLive = 8

func newLifecycle(c *Client) *lifecycle {
	l := &lifecycle{client: c, config: c.config.withDefaults()}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.connecting, l.stop = context.WithCancel(l.ctx)
	l.arrivals.changeLocked()
	return l
}

// set is the only one that changes the state. It reports false if that cannot be
// any more.
func (l *lifecycle) set(to State, session *session, change StateChange) bool {
	l.telling.Lock()
	defer l.telling.Unlock()
	if !l.setState(to, session, &change) {
		return false
	}
	if change.Wait > 0 {
		l.config.logger.Info("backdial: connecting again", "in", change.Wait, "attempt", change.Attempt, "err", change.Err)
	}
	if l.config.trace.StateChanged != nil {
		l.config.trace.StateChanged(change)
	}
	if to == StateEnded {
		l.end(change.Err)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.arrivals.changeLocked()
	}
	return true
}

func (l *lifecycle) setState(to State, session *session, change *StateChange) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == StateEnded || l.closing && to < StateDraining {
		return false
	}
	change.From, change.To = l.state, to
	l.state = to
	if session != nil {
		change.Info = session.describe()
	}
	if session != nil && session != l.session {
		l.session = session
		l.live = append(l.live, session)
		l.arrivals.addLocked(session)
	}
	return true
}

// start makes the first session. ctx bounds that.
func (l *lifecycle) start(ctx context.Context) error {
	s, err := l.connect(ctx, nil)
	if err != nil {
		l.set(StateEnded, nil, StateChange{Err: err})
		return err
	}
	l.connected(s)
	return nil
}

// connected begins s.
func (l *lifecycle) connected(s *session) {
	if !l.set(StateConnected, s, StateChange{}) {
		s.mux.Close() // which nobody has heard of
		return
	}
	l.wg.Add(1) // whoever calls this is waited for, or has no listener yet
	s.begin(func() {
		defer l.wg.Done()
		l.lost(s)
	})
	s.control.listen(func(m controlMessage) {
		switch m.kind {
		case controlMove:
			l.move(s, m.delay)
		case controlClosing:
			s.why.Store(&ClosedError{m.reason})
		}
	})
	for _, surplus := range l.surplus() {
		surplus.mux.Close()
	}
}

// surplus returns sessions that are too many.
func (l *lifecycle) surplus() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.live[:max(len(l.live)-maxLive, 0)])
}

// lost is called when s has ended.
func (l *lifecycle) lost(s *session) {
	l.mu.Lock()
	l.live = slices.DeleteFunc(l.live, func(other *session) bool { return other == s })
	l.mu.Unlock()
	if l.claim(s) {
		l.succeed(s, nil)
	}
}

// move makes the next session while s goes on, because the server of s wants that
// after a delay. It does not wait.
func (l *lifecycle) move(s *session, delay time.Duration) {
	switch {
	case l.config.backoff == nil:
		s.say(controlMessage{kind: controlStaying})
	case l.claimOrAsk(s, delay):
		go l.succeed(s, &delay) // close and shutdown wait for it
	case l.latest() != s:
		s.say(controlMessage{kind: controlMoved})
	}
}

// latest returns the latest session.
func (l *lifecycle) latest() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

// close closes all sessions, and lets no other begin.
func (l *lifecycle) close() {
	sessions := l.leave()
	eachAtOnce(sessions, func(s *session) error { return s.mux.Close() })
	l.finish()
}

// shutdown drains all sessions, and lets no other begin.
func (l *lifecycle) shutdown(ctx context.Context) error {
	sessions := l.leave()
	l.set(StateDraining, nil, StateChange{})
	err := eachAtOnce(sessions, func(s *session) error {
		s.say(controlMessage{kind: controlLeaving})
		return s.mux.Shutdown(ctx)
	})
	l.finish()
	return err
}

// leave lets no other session begin, and returns those that there are.
func (l *lifecycle) leave() []*session {
	l.mu.Lock()
	l.closing = true
	sessions := slices.Clone(l.live)
	spare := l.arrivals.takeSpareLocked()
	l.mu.Unlock()
	l.stop()
	for _, conn := range spare { // which nobody has accepted
		conn.Close()
	}
	return sessions
}

// finish ends the listener when its sessions have ended.
func (l *lifecycle) finish() {
	l.wg.Wait()
	err := l.latest().err()
	if l.config.backoff != nil { // it may have ended long ago
		err = errListenerClosed
	}
	l.set(StateEnded, nil, StateChange{Err: err})
}

var errListenerClosed = fmt.Errorf("listener: %w", net.ErrClosed)
