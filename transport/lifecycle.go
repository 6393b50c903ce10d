package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
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
// It has no goroutine but the one that makes the next session, which close and
// shutdown wait for.
type lifecycle struct {
	client *Client
	config config

	ctx        context.Context // ends with the listener, and tells why
	end        context.CancelCauseFunc
	connecting context.Context // ends when no other session is wanted
	stop       context.CancelFunc
	wg         sync.WaitGroup // the goroutine that makes the next session
	attempts   int            // of that, since a session was stable
	moves      int            // that it was asked for, since a session was stable

	telling sync.Mutex // held while the trace is told, before mu

	mu         sync.Mutex // guards below
	state      State
	session    *session   // the latest
	live       []*session // those that have not ended, the latest last
	succeeding bool       // somebody makes the next session
	closing    bool       // close or shutdown was called
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
	if to == StateEnded {
		l.end(change.Err)
		l.arrivals.changeLocked()
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

// connect makes a session, and tries again as long as that makes sense. It is the
// successor of old, which may go on, or of none.
func (l *lifecycle) connect(ctx context.Context, old *session) (*session, error) {
	for {
		s, err := l.client.session(ctx, &l.config)
		if err == nil {
			return s, nil
		}
		if err := l.pause(ctx, old, err); err != nil {
			return nil, err
		}
	}
}

// pause waits until it is time to connect again after err, unless that makes no
// sense. Then it returns err.
func (l *lifecycle) pause(ctx context.Context, old *session, err error) error {
	if l.config.backoff == nil || ctx.Err() != nil || !l.config.retry(err) {
		return err
	}
	wait := l.config.backoff.wait(l.attempts, err)
	l.attempts++
	l.set(whileAlive(old, StateMoving, StateWaiting), nil, StateChange{Err: err, Wait: wait, Attempt: l.attempts})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return fmt.Errorf("%w, while waiting to connect again after: %w", ctxerr.Of(ctx), err)
	}
	if !old.alive() {
		l.set(StateConnecting, nil, StateChange{})
	}
	return nil
}

func whileAlive(s *session, state, otherwise State) State {
	if s.alive() {
		return state
	}
	return otherwise
}

// connected begins s.
func (l *lifecycle) connected(s *session) {
	if !l.set(StateConnected, s, StateChange{}) {
		s.mux.Close() // which nobody has heard of
		return
	}
	s.begin(func() { l.lost(s) })
	s.control.listen(func(m controlMessage) {
		if m.kind == controlMove {
			l.move(s, m.delay)
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
	for l.succeed(s) {
		l.settle(s)
		l.replace(s, l.pause(l.connecting, s, s.err()))
		s = l.succeeded()
	}
}

// move makes the next session while s goes on, because the server of s wants that.
// It does not wait.
func (l *lifecycle) move(s *session, delay time.Duration) {
	switch {
	case l.config.backoff == nil:
		s.say(controlMessage{kind: controlStaying})
	case l.latest() != s:
		s.say(controlMessage{kind: controlMoved})
	case l.succeed(s):
		go func() { // close and shutdown wait for it
			l.replace(s, l.pauseBeforeMove(s, delay))
			if s := l.succeeded(); s != nil {
				l.lost(s)
			}
		}()
	}
}

// settle has the next waits be as if they were the first, if s was stable, and
// reports whether it was.
func (l *lifecycle) settle(s *session) bool {
	if l.config.backoff == nil || s.age() < l.config.backoff.Stable {
		return false
	}
	l.attempts, l.moves = 0, 0
	return true
}

// pauseBeforeMove waits for as long as the server of s asks. If servers ask for that
// again and again, something is wrong, and clients have to be spread out all the
// same. Attempts that failed before there was s have no part in that: its server
// does not wait for long.
func (l *lifecycle) pauseBeforeMove(s *session, delay time.Duration) error {
	wait := min(delay, maxRetryAfter)
	if !l.settle(s) {
		wait = max(wait, l.config.backoff.wait(l.moves, nil))
		l.moves++
	}
	l.set(StateMoving, nil, StateChange{Wait: wait, Attempt: l.moves})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.mux.Context().Done():
		return l.pause(l.connecting, s, s.err())
	case <-l.connecting.Done():
		return ctxerr.Of(l.connecting)
	}
}

// replace makes the successor of old, unless err is why there is to be none.
func (l *lifecycle) replace(old *session, err error) {
	var s *session
	if err == nil {
		s, err = l.connect(l.connecting, old)
	}
	switch {
	case err == nil:
		l.connected(s)
		old.say(controlMessage{kind: controlMoved})
	case l.connecting.Err() != nil: // close and shutdown see to the rest
	case old.alive():
		old.say(controlMessage{kind: controlStaying})
		l.set(StateConnected, old, StateChange{Err: err})
	default:
		l.set(StateEnded, nil, StateChange{Err: err})
	}
}

// succeed reports whether the caller is to make the successor of s, and to call
// succeeded then.
func (l *lifecycle) succeed(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != s || l.succeeding || l.closing || l.state == StateEnded {
		return false
	}
	l.succeeding = true
	l.wg.Add(1)
	return true
}

// succeeded ends what succeed began. It returns the latest session, if that has
// been lost meanwhile, when lost was not to be heeded.
func (l *lifecycle) succeeded() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.succeeding = false
	l.wg.Done()
	if l.session.alive() {
		return nil
	}
	return l.session
}

// latest returns the latest session.
func (l *lifecycle) latest() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

// dial opens a stream in the latest session, or in the next one if there is none.
func (l *lifecycle) dial(ctx context.Context) (net.Conn, error) {
	for {
		s, changed, err := l.current()
		if err != nil {
			return nil, err
		}
		if s.info.Protocol == "" {
			return nil, errNotNegotiated
		}
		st, err := s.mux.Open(ctx)
		if err == nil {
			return s.conn(st), nil
		}
		if l.config.backoff == nil || s.alive() && !errors.Is(err, mux.ErrGoAway) {
			return nil, err
		}
		select {
		case <-changed.Done():
		case <-ctx.Done():
			return nil, fmt.Errorf("%w, while waiting for a session after: %w", ctxerr.Of(ctx), err)
		}
	}
}

// current returns the latest session, and what ends when it is not that any more.
func (l *lifecycle) current() (s *session, changed context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session, l.arrivals.changed, context.Cause(l.ctx)
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
	err := eachAtOnce(sessions, func(s *session) error { return s.mux.Shutdown(ctx) })
	l.finish()
	return err
}

// leave lets no other session begin, and returns those that there are.
func (l *lifecycle) leave() []*session {
	l.mu.Lock()
	l.closing = true
	sessions := slices.Clone(l.live)
	l.mu.Unlock()
	l.stop()
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
