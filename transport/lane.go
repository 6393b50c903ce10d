package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
)

// A lane holds one session of a listener at a time. Only the goroutine that has claimed the
// lane makes the successor of its latest session: because that was lost, or because its server
// asks the client to move. Guarded by lifecycle.mu, except life and the counts.
type lane struct {
	life    *lifecycle
	started bool // it holds a session, or looks for one
	state   State
	session *session // the latest; nil until there was one

	claimed bool
	asked   *session      // its server asked for a move while the lane was claimed
	delay   time.Duration // of that move

	// Used by the goroutine that has claimed the lane.
	tries    int       // attempts to connect since there was a session
	attempts int       // failed attempts since a session was stable
	refusals int       // refusals since there was a session of use
	short    int       // sessions that did not last since one was stable
	outage   time.Time // when the session was lost, or a move first failed; zero for neither
}

// set is lifecycle.set for a lane.
func (ln *lane) set(to State, s *session, change StateChange) bool {
	return ln.life.set(ln, to, s, change)
}

// fill makes the first session of a lane that has been claimed, and its successors as long as
// there is reason to.
func (ln *lane) fill() {
	ln.replace(nil, nil)
	ln.succeed(ln.release())
}

// sessionEnded is called when s has ended.
func (ln *lane) sessionEnded(s *session) {
	l := ln.life
	l.mu.Lock()
	l.live = slices.DeleteFunc(l.live, func(other *session) bool { return other == s })
	l.turn.wakeLocked()
	l.mu.Unlock()
	if ln.claim(s) {
		ln.succeed(s, nil)
	}
}

// move makes the successor of s while s goes on, because the server of s asks for that after a
// delay. It does not block.
func (ln *lane) move(s *session, delay time.Duration) {
	switch {
	case ln.life.config.backoff == nil:
		s.say(controlMessage{kind: controlStaying})
	case ln.claimOrAsk(s, delay):
		go ln.succeed(s, &delay) // close and shutdown wait for it
	case ln.latest() != s:
		s.sayMoved()
	}
}

// latest returns the latest session of the lane.
func (ln *lane) latest() *session {
	ln.life.mu.Lock()
	defer ln.life.mu.Unlock()
	return ln.session
}

// claim reports whether the caller has to make the successor of s, with succeed.
func (ln *lane) claim(s *session) bool {
	ln.life.mu.Lock()
	defer ln.life.mu.Unlock()
	return ln.claimLocked(s)
}

func (ln *lane) claimLocked(s *session) bool {
	if ln.session != s || ln.claimed || ln.isOverLocked() {
		return false
	}
	ln.claimed = true
	ln.life.wg.Add(1)
	return true
}

// isOverLocked reports whether the lane gets no other session.
func (ln *lane) isOverLocked() bool {
	return ln.state == StateEnded || ln.life.closing || ln.life.state == StateEnded
}

// claimOrAsk is claim for a move from s. If another goroutine has the claim, that makes the
// move, provided that s is the latest session by then.
func (ln *lane) claimOrAsk(s *session, delay time.Duration) bool {
	ln.life.mu.Lock()
	defer ln.life.mu.Unlock()
	if ln.claimLocked(s) {
		return true
	}
	ln.asked, ln.delay = s, delay
	return false
}

// release gives up the claim, unless there is more to do: the latest session has been lost
// meanwhile, or its server has asked for a move. Then it returns that session.
func (ln *lane) release() (next *session, move *time.Duration) {
	ln.life.mu.Lock()
	defer ln.life.mu.Unlock()
	asked, delay := ln.asked, ln.delay
	ln.asked = nil
	if !ln.isOverLocked() {
		switch {
		case !ln.session.alive():
			return ln.session, nil
		case asked == ln.session:
			return asked, &delay
		}
	}
	ln.claimed = false
	ln.life.wg.Done()
	return nil, nil
}

// succeed makes the successor of s, which was lost, or whose server asks the client to move
// after a delay, and further successors as long as there is reason to.
func (ln *lane) succeed(s *session, move *time.Duration) {
	for s != nil {
		var err error
		if move != nil && s.alive() {
			err = ln.pauseBeforeMove(s, *move)
		} else {
			ln.outage = time.Now()
			lasted := ln.judge(s)
			err = ln.pause(ln.life.connecting, s, s.err())
			if !lasted {
				ln.short++
			}
		}
		ln.replace(s, err)
		s, move = ln.release()
	}
}

// replace makes the successor of old, unless err is why there is none.
func (ln *lane) replace(old *session, err error) {
	connecting := ln.life.connecting
	if err == nil {
		err = ln.connect(connecting, old)
	}
	switch {
	case err == nil:
		if old.alive() {
			old.sayMoved()
		}
	case connecting.Err() != nil: // close and shutdown do the rest
	case old.alive():
		ln.giveUp(err)
		old.say(controlMessage{kind: controlStaying})
		ln.set(StateConnected, old, StateChange{Err: err})
	default:
		ln.giveUp(err)
		ln.set(StateEnded, nil, StateChange{Err: err})
	}
}

// giveUp logs that the lane makes no other session.
func (ln *lane) giveUp(err error) {
	if ln.life.config.backoff != nil {
		withErr(ln.log(), err).Error("backdial: gave up connecting again, for good")
	}
}

// connect makes a session, and tries again as long as that makes sense. The session succeeds
// old, which may go on, or nil.
func (ln *lane) connect(ctx context.Context, old *session) error {
	for {
		err := ln.attempt(ctx)
		if err == nil {
			return nil
		}
		if old.alive() {
			old.say(controlMessage{kind: controlFailed})
		}
		if err := ln.pause(ctx, old, err); err != nil {
			return err
		}
	}
}

// attempt makes a session when it is the lane's turn, and begins it.
func (ln *lane) attempt(ctx context.Context) error {
	l := ln.life
	held, err := l.awaitTurn(ctx, ln)
	if err != nil {
		return err
	}
	defer l.endTurn()
	ln.tries++
	config := l.config
	config.logger = config.logger.With("attempt", ln.tries)
	s, err := l.client.session(ctx, &config, held)
	if err == nil {
		ln.tries = 0
		l.begin(ln, s)
	}
	return err
}

// pause waits until it is time to connect again after err. If that makes no sense, it returns
// err.
func (ln *lane) pause(ctx context.Context, old *session, err error) error {
	if ln.life.config.backoff == nil || ctx.Err() != nil || !ln.life.config.retry(err) {
		return err
	}
	if ln.outage.IsZero() {
		ln.outage = time.Now()
	}
	change := StateChange{Err: err, Wait: ln.life.config.backoff.wait(ln.attempts, ln.short, time.Since(ln.outage), err)}
	if isRefused(err) {
		change.Wait = ln.life.config.backoff.waitRefused(ln.refusals, err)
		ln.refusals++
		change.Refused = ln.refusals
	}
	ln.attempts++
	change.Attempt = ln.attempts
	timer := time.NewTimer(change.Wait)
	defer timer.Stop()
	var lost <-chan struct{} // closed when old has ended
	if old.alive() {
		ln.set(StateMoving, nil, change)
		lost = old.mux.Context().Done()
	} else {
		ln.set(StateWaiting, nil, change)
	}
	for until := time.Now().Add(change.Wait); ; {
		select {
		case <-timer.C:
			if !old.alive() {
				ln.set(StateConnecting, nil, StateChange{})
			}
			return nil
		case <-lost:
			lost = nil
			ln.set(StateWaiting, nil, StateChange{Err: old.err(), Wait: time.Until(until), Attempt: change.Attempt})
		case <-ctx.Done():
			return fmt.Errorf("%w, while waiting to connect again after: %w", ctxerr.Of(ctx), err)
		}
	}
}

// judge reports whether s has lasted; if so, the next waits are as short as the first. A
// session has lasted if it was stable, or if its server wants another or stops, as far as is
// known, and not at once. judge also ends a row of refusals, unless s was one itself, or the
// ends did not use the same protocol in it.
func (ln *lane) judge(s *session) bool {
	err := s.err()
	if !isRefused(err) && !errors.Is(err, mux.ErrProtocol) {
		ln.refusals = 0
	}
	b := ln.life.config.backoff
	if b == nil {
		return false
	}
	_, because := errors.AsType[*ClosedError](err)
	reason := EndReasonOf(err)
	wanted := err == nil || !because && (reason == EndShutdown || reason == EndClosedByPeer)
	if s.age() < b.Stable && !(wanted && s.age() >= b.bound(ln.short)) {
		return false
	}
	ln.attempts, ln.short = 0, 0
	return true
}

// pauseBeforeMove waits for as long as the server of s asks. If servers ask again and again,
// as soon as the client arrives, something is wrong, and clients still have to be spread out.
// Attempts that failed before s began do not count: its server does not wait for long.
func (ln *lane) pauseBeforeMove(s *session, delay time.Duration) error {
	wait := min(delay, maxRetryAfter)
	if ln.outage = (time.Time{}); !ln.judge(s) {
		wait = max(wait, rand.N(ln.life.config.backoff.bound(ln.short)))
		ln.short++
	}
	ln.set(StateMoving, nil, StateChange{Wait: wait, Attempt: ln.short})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.mux.Context().Done():
		return ln.pause(ln.life.connecting, s, s.err())
	case <-ln.life.connecting.Done():
		return ctxerr.Of(ln.life.connecting)
	}
}

// serverKnown is called when the server of s gives its ID. Only the first ID counts. If
// another lane has a session to the same server, s is given up. Otherwise the next lane
// begins, if there is one. serverKnown does not block.
func (ln *lane) serverKnown(s *session, id string) {
	l := ln.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.server.CompareAndSwap(nil, &id) {
		return
	}
	l.turn.wakeLocked()
	if ln.session != s || ln.isOverLocked() {
		return
	}
	if held, _ := l.heldBesideLocked(ln); slices.Contains(held, id) {
		s.closeBecause(fmt.Errorf("%w: %w", EndRefused, ErrAlreadyConnected))
		l.wg.Go(func() { s.mux.Close() })
		return
	}
	if next := l.nextLocked(); next != nil {
		next.started, next.claimed = true, true
		l.wg.Add(1)
		go next.fill() // close and shutdown wait for it
	}
}

// log returns the logger for lines about a lane, with its latest session.
func (ln *lane) log() *slog.Logger {
	l := ln.life.config.logger
	if s := ln.latest(); s != nil {
		l = l.With("session", s.info.Session)
	}
	return l
}

// logPause logs a pause before the next attempt.
func (ln *lane) logPause(change StateChange) {
	log := ln.log().With("in", change.Wait)
	if change.Err == nil {
		log.Info("backdial: moving to another session, as the server asks")
		return
	}
	log = log.With("attempt", ln.tries+1)
	if change.Refused > 0 {
		withErr(log.With("refused", change.Refused), change.Err).Warn("backdial: refused, connecting again")
		return
	}
	withErr(log, change.Err).Info("backdial: connecting again")
}
