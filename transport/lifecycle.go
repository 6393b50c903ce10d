package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
)

// A State is one of a [Listener].
type State int

// The states of a listener. Without [WithReconnect] there is no waiting.
const (
	StateConnecting State = iota // an attempt is under way
	StateConnected               // there is a session
	StateWaiting                 // there is a pause before the next attempt
	StateDraining                // Shutdown waits for connections to be closed
	StateEnded                   // Close or Shutdown is done, or there will be no other session
)

func (s State) String() string {
	return [...]string{"connecting", "connected", "waiting", "draining", "ended"}[s]
}

// A StateChange is what [Trace.StateChanged] is told.
type StateChange struct {
	From, To State

	// Info of the session, when it is connected.
	Info Info

	// Err is why there is no session, when it waits or has ended.
	Err error

	// Wait is for how long it waits, before which Attempt: 1 for the first after
	// a session that was stable ([Backoff.Stable]).
	Wait    time.Duration
	Attempt int
}

// A lifecycle is the life of a listener.
//
//	          ┌────────────┐ a session ┌───────────┐
//	start ──► │ connecting ├──────────►│ connected ├───── Shutdown ──┐
//	          └─▲────────┬─┘           └─────┬─────┘                 │
//	            │        │ it failed         │ it is lost            ▼
//	            │ time   ▼                   │                 ┌──────────┐
//	          ┌─┴──────────┐                 │                 │ draining │
//	          │  waiting   │◄────────────────┘                 └─────┬────┘
//	          └────────────┘                                         │ drained
//	                                                                 ▼
//	Close, or an error after which nothing is tried again, from all: ended
//
// It has no goroutine but the one that connects again while there is no session,
// which close and shutdown wait for.
type lifecycle struct {
	client *Client
	config config

	ctx        context.Context // ends with the listener, and tells why
	end        context.CancelCauseFunc
	connecting context.Context // ends when no other session is wanted
	stop       context.CancelFunc
	wg         sync.WaitGroup // the goroutine that connects
	attempts   int            // of that, since a session was stable

	telling sync.Mutex // held while the trace is told, before mu

	mu      sync.Mutex // guards below
	changed sync.Cond
	state   State
	session *session // the latest
	closing bool     // close or shutdown was called
}

func newLifecycle(c *Client) *lifecycle {
	l := &lifecycle{client: c, config: c.config.withDefaults()}
	l.changed.L = &l.mu
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.connecting, l.stop = context.WithCancel(l.ctx)
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
	if to == StateWaiting {
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
		l.session = session
		change.Info = session.info
	}
	if to == StateEnded {
		l.end(change.Err)
	}
	l.changed.Broadcast()
	return true
}

// start makes the first session. ctx bounds that.
func (l *lifecycle) start(ctx context.Context) error {
	s, err := l.connect(ctx)
	if err != nil {
		l.set(StateEnded, nil, StateChange{Err: err})
		return err
	}
	l.connected(s)
	return nil
}

// connect makes a session, and tries again as long as that makes sense.
func (l *lifecycle) connect(ctx context.Context) (*session, error) {
	for {
		s, err := l.client.session(ctx, &l.config)
		if err == nil {
			return s, nil
		}
		if err := l.pause(ctx, err); err != nil {
			return nil, err
		}
	}
}

// pause waits until it is time to connect again after err, unless that makes no
// sense. Then it returns err.
func (l *lifecycle) pause(ctx context.Context, err error) error {
	if l.config.backoff == nil || ctx.Err() != nil || !l.config.retry(err) {
		return err
	}
	wait := l.config.backoff.wait(l.attempts, err)
	l.attempts++
	l.set(StateWaiting, nil, StateChange{Err: err, Wait: wait, Attempt: l.attempts})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		l.set(StateConnecting, nil, StateChange{})
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w, while waiting to connect again after: %w", ctxerr.Of(ctx), err)
	}
}

// connected begins s.
func (l *lifecycle) connected(s *session) {
	if l.set(StateConnected, s, StateChange{}) {
		s.begin(func() { l.lost(s) })
		return
	}
	s.mux.Close() // which nobody has heard of
}

// lost is called when s has ended.
func (l *lifecycle) lost(s *session) {
	if !l.work() {
		return
	}
	defer l.wg.Done()
	if b := l.config.backoff; b != nil && time.Since(s.info.Since) >= b.Stable {
		l.attempts = 0
	}
	err := l.pause(l.connecting, s.err())
	if err == nil {
		s, err = l.connect(l.connecting)
	}
	if err == nil {
		l.connected(s)
	} else if l.connecting.Err() == nil {
		l.set(StateEnded, nil, StateChange{Err: err})
	}
}

// work makes close and shutdown wait for wg, unless they are under way.
func (l *lifecycle) work() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing {
		l.wg.Add(1)
	}
	return !l.closing
}

// latest returns the latest session.
func (l *lifecycle) latest() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

// after waits for the session after s, which is over. Its error is why there is
// none.
func (l *lifecycle) after(s *session) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.session == s && l.state != StateEnded {
		l.changed.Wait()
	}
	if l.session == s {
		return nil, context.Cause(l.ctx)
	}
	return l.session, nil
}

// close closes the session, and lets no other begin.
func (l *lifecycle) close() {
	s := l.leave()
	s.mux.Close()
	l.finish(s)
}

// shutdown drains the session, and lets no other begin.
func (l *lifecycle) shutdown(ctx context.Context) error {
	s := l.leave()
	l.set(StateDraining, nil, StateChange{})
	err := s.mux.Shutdown(ctx)
	l.finish(s)
	return err
}

// leave lets no other session begin, and returns the latest.
func (l *lifecycle) leave() *session {
	l.mu.Lock()
	l.closing = true
	s := l.session
	l.mu.Unlock()
	l.stop()
	return s
}

// finish ends the listener when s has ended.
func (l *lifecycle) finish(s *session) {
	l.wg.Wait()
	err := s.err()
	if l.config.backoff != nil { // s may have ended long ago
		err = errListenerClosed
	}
	l.set(StateEnded, nil, StateChange{Err: err})
}

var errListenerClosed = fmt.Errorf("listener: %w", net.ErrClosed)
