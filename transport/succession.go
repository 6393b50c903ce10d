package transport

import (
	"context"
	"fmt"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
)

// A succession is how one session of a listener follows another: who has claimed it
// makes the successor of the latest, because that was lost, or because its server
// asks the client to move. Guarded by lifecycle.mu, but for the counts.
type succession struct {
	claimed bool
	asked   *session      // whose server has asked for a move when it was claimed
	delay   time.Duration // of that move

	// Of whoever has claimed it.
	attempts int // that failed, since a session was stable
	moves    int // that were asked for, since a session was stable
}

// claim reports whether the caller is to make the successor of s, by succeed.
func (l *lifecycle) claim(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claimLocked(s)
}

func (l *lifecycle) claimLocked(s *session) bool {
	if l.session != s || l.succession.claimed || l.closing || l.state == StateEnded {
		return false
	}
	l.succession.claimed = true
	l.wg.Add(1)
	return true
}

// claimOrAsk is claim for a move from s. Whoever has claimed the succession sees to
// it otherwise, if s is the latest session by then.
func (l *lifecycle) claimOrAsk(s *session, delay time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claimLocked(s) {
		return true
	}
	l.succession.asked, l.succession.delay = s, delay
	return false
}

// release gives the claim up, unless there is more to do: the latest session has been
// lost meanwhile, or its server has asked for a move. Then it is returned.
func (l *lifecycle) release() (next *session, move *time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked, delay := l.succession.asked, l.succession.delay
	l.succession.asked = nil
	if !l.closing && l.state != StateEnded {
		switch {
		case !l.session.alive():
			return l.session, nil
		case asked == l.session:
			return asked, &delay
		}
	}
	l.succession.claimed = false
	l.wg.Done()
	return nil, nil
}

// succeed makes the successor of s, which was lost, or whose server wants the client
// to move after a delay, and further ones as long as it takes.
func (l *lifecycle) succeed(s *session, move *time.Duration) {
	for s != nil {
		var err error
		if move != nil && s.alive() {
			err = l.pauseBeforeMove(s, *move)
		} else {
			l.settle(s)
			err = l.pause(l.connecting, s, s.err())
		}
		l.replace(s, err)
		s, move = l.release()
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
	wait := l.config.backoff.wait(l.succession.attempts, err)
	l.succession.attempts++
	change := StateChange{Err: err, Wait: wait, Attempt: l.succession.attempts}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var lost <-chan struct{} // closed when there is no session any more
	if old.alive() {
		l.set(StateMoving, nil, change)
		lost = old.mux.Context().Done()
	} else {
		l.set(StateWaiting, nil, change)
	}
	for until := time.Now().Add(wait); ; {
		select {
		case <-timer.C:
			if !old.alive() {
				l.set(StateConnecting, nil, StateChange{})
			}
			return nil
		case <-lost:
			lost = nil
			l.set(StateWaiting, nil, StateChange{Err: old.err(), Wait: time.Until(until), Attempt: change.Attempt})
		case <-ctx.Done():
			return fmt.Errorf("%w, while waiting to connect again after: %w", ctxerr.Of(ctx), err)
		}
	}
}

// settle has the next waits be as if they were the first, if s was stable, and
// reports whether it was.
func (l *lifecycle) settle(s *session) bool {
	if l.config.backoff == nil || s.age() < l.config.backoff.Stable {
		return false
	}
	l.succession.attempts, l.succession.moves = 0, 0
	return true
}

// pauseBeforeMove waits for as long as the server of s asks. If servers ask for that
// again and again, something is wrong, and clients have to be spread out all the
// same. Attempts that failed before there was s have no part in that: its server
// does not wait for long.
func (l *lifecycle) pauseBeforeMove(s *session, delay time.Duration) error {
	wait := min(delay, maxRetryAfter)
	if !l.settle(s) {
		wait = max(wait, l.config.backoff.wait(l.succession.moves, nil))
		l.succession.moves++
	}
	l.set(StateMoving, nil, StateChange{Wait: wait, Attempt: l.succession.moves})
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
