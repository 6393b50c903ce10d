package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/race"
	"github.com/backdial/backdial/redact"
)

// A try is a client's attempt with one carrier in a race.
type try struct {
	config  *config
	by      carrier.Carrier
	path    path
	request carrier.Request
	explain func(error) error // adds what the carrier does not know
	mute    bool              // offer nothing
	passed  *failure          // why it is passed over, or nil
	session *session          // once run has succeeded

	mu    sync.Mutex // guards below, and keeps events in order
	began time.Time  // when its turn came
	ended bool
	took  time.Duration
	err   error
}

// passOver announces that t has to wait until the others have failed.
func (t *try) passOver(f failure) {
	t.passed = &f
	t.config.logger.Info("backdial: carrier passed over", "carrier", t.by.Name(), "until", f.until, "err", f.err)
	if t.config.trace.DialPassedOver != nil {
		t.config.trace.DialPassedOver(t.by.Name(), f.until, f.err)
	}
}

// run makes the attempt, whose turn came at the time turn. It returns t, which then has a session.
func (t *try) run(ctx context.Context, turn time.Time) (*try, error) {
	if !t.begin(turn) {
		return nil, ErrLostRace
	}
	err := t.dial(ctx)
	if err == nil {
		return t, nil
	}
	if !errors.Is(context.Cause(ctx), race.ErrLost) {
		t.end(t.explain(err))
	}
	return nil, err
}

func (t *try) dial(ctx context.Context) error {
	muxes, err := t.config.muxesOn(t.by)
	if err != nil {
		return t.failure(err)
	}
	request := t.request // failures show the user's, from other goroutines too
	if !t.mute {
		request.Protocols = muxes.protocols()
		request.Header = withTerms(request.Header, muxes, &t.config.session)
	}
	var answer http.Header
	request.Answered = func(h http.Header) { answer = h }
	conn, err := t.by.Dial(ctx, &request)
	if err != nil {
		return err
	}
	m, err := t.config.agreed(t.by, muxes, request.Protocols, conn.Protocol())
	if err != nil {
		conn.Close()
		return t.failure(err)
	}
	limits, err := agree(t.config.session, m, answer)
	if err != nil {
		conn.Close()
		return t.failure(fmt.Errorf("the server's answer: %w", err))
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ListenSide may wait for the peer
	session, err := startSession(t.config, t.by, conn, m, m.ListenSide, limits)
	if !stop() { // conn is closed
		if err == nil {
			session.mux.Close()
		}
		err = fmt.Errorf("start %s: %w", m.Name(), ctxerr.Of(ctx))
	}
	if err != nil {
		return t.failure(err)
	}
	session.mute = t.mute
	t.session = session
	return nil
}

// begin announces that t begins, and reports false if it is too late for that.
func (t *try) begin(turn time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.began = turn
	t.config.logger.Debug("backdial: dial started", "carrier", t.by.Name())
	if t.config.trace.DialStarted != nil {
		t.config.trace.DialStarted(t.by.Name())
	}
	return true
}

// end ends t with err, or with nil if it has a session. It announces a failure, unless t has
// never begun or has ended before.
func (t *try) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(err)
}

// endLost is end for a try that another was faster than.
func (t *try) endLost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.endLocked(t.failure(fmt.Errorf("no session within %v: %w", time.Since(t.began).Round(time.Millisecond), ErrLostRace)))
}

// failure adds to err what was tried.
func (t *try) failure(err error) error {
	return redact.Dial(t.by.Name(), t.request.URL, t.request.Header, err)
}

func (t *try) endLocked(err error) {
	if t.ended {
		return
	}
	t.ended = true
	if t.began.IsZero() || err == nil {
		return
	}
	t.took, t.err = time.Since(t.began), err
	switch {
	case errors.Is(err, ErrLostRace):
		t.config.logger.Info("backdial: dial given up", "carrier", t.by.Name(), "err", err)
	case isMisdirected(err): // expected, and frequent
		t.config.logger.Debug("backdial: dial led to a server that the client is connected to", "carrier", t.by.Name(), "err", err)
	default:
		t.config.logger.Warn("backdial: dial failed", "carrier", t.by.Name(), "err", err)
	}
	if t.config.trace.DialFailed != nil {
		t.config.trace.DialFailed(t.by.Name(), err)
	}
}

// broken reports whether the end of t, when a later carrier has won, means that its path is
// broken. A carrier whose turn came less than a head start before may have been as good as the
// winner. Its turn counts, and not when it ran: on a busy machine that may be later.
func (t *try) broken() bool {
	if errors.Is(t.err, ErrLostRace) {
		return t.took >= t.config.patience()
	}
	return t.err != nil && isBrokenPath(t.err)
}

// fallback returns why t is not in use, or nil if it was not tried.
func (t *try) fallback() error {
	if t.err == nil && t.passed != nil {
		return fmt.Errorf("%s: passed over until %s: failed with %w",
			t.by.Name(), t.passed.until.Format(time.RFC3339), t.passed.err)
	}
	return t.err
}
