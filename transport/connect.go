package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/race"
	"github.com/backdial/backdial/redact"
)

// ErrLostRace is matched by the error of a carrier's attempt that was given up
// because another carrier of the client had a session first.
var ErrLostRace = errors.New("another carrier was first")

// connect makes a session with u by the carrier that is the first to have one.
// Those that are known to be broken have their turn when all others have
// failed, or half of the time has passed. timeout is what bounded has beyond
// ctx.
func (c *Client) connect(ctx, bounded context.Context, timeout time.Duration, config *config, u *url.URL, header http.Header) (*session, error) {
	c.paths.settle(time.Now())
	header = header.Clone() // attempts that are given up may look at it later
	tries := make([]*try, len(config.carriers))
	var usual, reserve []*try
	for i, by := range config.carriers {
		t := &try{
			config:  config,
			by:      by,
			path:    newPath(i, u.Host),
			request: carrier.Request{URL: u, Header: header, TLS: config.tls},
			mute:    c.stripped.has(newPath(i, u.Host), time.Now()),
			explain: func(err error) error {
				if bounded.Err() != nil && ctx.Err() == nil {
					return fmt.Errorf("no session within %v: %w", timeout, err)
				}
				return err
			},
		}
		tries[i] = t
		if f, ok := c.paths.passedOver(t.path, time.Now()); ok {
			t.passOver(f)
			reserve = append(reserve, t)
		} else {
			usual = append(usual, t)
		}
	}

	if winner := config.race(bounded, usual, reserve); winner != nil {
		winner.end(nil)
		for _, t := range tries {
			t.endLost()
		}
		return c.won(winner, tries), nil
	}
	var failed attempts
	for _, t := range tries {
		if bounded.Err() != nil { // which not every carrier heeds
			t.end(t.explain(t.failed(ctxerr.Of(bounded))))
		}
		if t.err != nil {
			failed = append(failed, t.err)
			if t.mute && isRefused(t.err) { // perhaps for lack of an offer
				c.stripped.forget(t.path)
			}
		}
	}
	if len(failed) == 0 { // ctx had ended before
		return nil, fmt.Errorf("dial %s: %w", redact.URL(u), ctxerr.Of(bounded))
	}
	return nil, &failed
}

// race returns the try that is the first to have a session, or nil.
func (c *config) race(ctx context.Context, usual, reserve []*try) *try {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if len(usual) == 0 || len(reserve) == 0 {
		winner, _ := c.heat(append(usual, reserve...), left)(ctx)
		return winner
	}
	winner, _ := first(ctx, left/2, []attempt{c.heat(usual, left/2), c.heat(reserve, left/2)})
	return winner
}

// An attempt returns the try that it has made a session of.
type attempt = func(context.Context) (*try, error)

// heat is the race between tries, which have so much time.
func (c *config) heat(tries []*try, left time.Duration) attempt {
	var runs []attempt
	for _, t := range tries {
		runs = append(runs, t.run)
	}
	// However short the time is, each has its turn.
	headStart := min(c.headStart, left/time.Duration(len(tries)))
	return func(ctx context.Context) (*try, error) { return first(ctx, headStart, runs) }
}

func first(ctx context.Context, stagger time.Duration, attempts []attempt) (*try, error) {
	winner, t, errs := race.First(ctx, stagger, attempts, func(t *try) { t.session.mux.Close() })
	if winner < 0 {
		return nil, errs[0]
	}
	return t, nil
}

// won returns the winner's session, with what became of the carriers that were
// preferred to it, and remembers those that are broken.
func (c *Client) won(winner *try, tries []*try) *session {
	now, config, session := time.Now(), winner.config, winner.session
	var preferred attempts
	for _, t := range tries[:winner.path.carrier] {
		if t.broken() {
			c.paths.failed(t.path, now, t.err)
		}
		if err := t.fallback(); err != nil {
			preferred = append(preferred, err)
		}
	}
	if len(preferred) > 0 {
		session.info.Fallback = &preferred
	}
	path := winner.path
	session.settle = func() {
		c.paths.settle(time.Now())
		c.stripped.settle(path, session, time.Now())
	}
	if last := tries[len(tries)-1]; winner != last { // there is another to use instead
		// Silence takes that long to be noticed.
		short := shortLife + max(config.session.KeepAlive, 0) + max(config.session.KeepAliveTimeout, 0)
		c.paths.connected(winner.path, now, session.mux.Context(), short)
	}
	return session
}

// A try is what a client makes of one carrier in a race.
type try struct {
	config  *config
	by      carrier.Carrier
	path    path
	request carrier.Request
	explain func(error) error // adds what the carrier does not know
	mute    bool              // offer nothing
	passed  *failure          // why it is no more than a reserve, or nil
	session *session          // once run has succeeded

	mu    sync.Mutex // guards below, and keeps events in order
	began time.Time
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

// run makes the attempt. It returns t, of which it has made a session.
func (t *try) run(ctx context.Context) (*try, error) {
	if !t.begin() {
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
		return t.failed(err)
	}
	if !t.mute {
		t.request.Protocols = muxes.protocols()
	}
	conn, err := t.by.Dial(ctx, &t.request)
	if err != nil {
		return err
	}
	m, err := t.config.agreed(t.by, muxes, t.request.Protocols, conn.Protocol())
	if err != nil {
		conn.Close()
		return t.failed(err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ListenSide may wait for the peer
	session, err := startSession(t.config, t.by, conn, m, m.ListenSide, t.config.session)
	if !stop() { // conn is closed
		if err == nil {
			session.mux.Close()
		}
		err = fmt.Errorf("start %s: %w", m.Name(), ctxerr.Of(ctx))
	}
	if err != nil {
		return t.failed(err)
	}
	session.mute = t.mute
	t.session = session
	return nil
}

// begin announces that t begins, and reports false if it is too late for that.
func (t *try) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.began = time.Now()
	t.config.logger.Debug("backdial: dial started", "carrier", t.by.Name())
	if t.config.trace.DialStarted != nil {
		t.config.trace.DialStarted(t.by.Name())
	}
	return true
}

// end is called with what became of t. It announces a failure, unless t has
// never begun or has ended before.
func (t *try) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(err)
}

// endLost is end of a try that another was faster than.
func (t *try) endLost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(t.failed(fmt.Errorf("no session within %v: %w", time.Since(t.began).Round(time.Millisecond), ErrLostRace)))
}

// failed says what was tried when err came of it.
func (t *try) failed(err error) error {
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
	case isMisdirected(err): // as it has to be, and again and again
		t.config.logger.Debug("backdial: dial led to a server that is connected", "carrier", t.by.Name(), "err", err)
	default:
		t.config.logger.Warn("backdial: dial failed", "carrier", t.by.Name(), "err", err)
	}
	if t.config.trace.DialFailed != nil {
		t.config.trace.DialFailed(t.by.Name(), err)
	}
}

// broken reports whether what became of t, when a carrier that comes after it
// has won, means that its path is broken. One that was not under way for as
// long as a head start may have been as good as the winner.
func (t *try) broken() bool {
	if errors.Is(t.err, ErrLostRace) {
		return t.took >= t.config.patience()
	}
	return t.err != nil && isBrokenPath(t.err)
}

// fallback returns why t is not in use, or nil if it has not been looked at.
func (t *try) fallback() error {
	if t.err == nil && t.passed != nil {
		return fmt.Errorf("%s: passed over until %s: failed with %w",
			t.by.Name(), t.passed.until.Format(time.RFC3339), t.passed.err)
	}
	return t.err
}

// attempts are the errors of carriers, on one line.
type attempts []error

func (a *attempts) Error() string {
	texts := make([]string, len(*a))
	for i, err := range *a {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (a *attempts) Unwrap() []error { return *a }
