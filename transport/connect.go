package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/internal/race"
	"github.com/backdial/backdial/redact"
)

// ErrLostRace means that the attempt of a carrier was given up because another carrier of the
// client had a session first. The error of the attempt matches it.
var ErrLostRace = errors.New("another carrier was first")

// session makes one session, beside those to the servers in held.
func (c *Client) session(ctx context.Context, config *config, held []string) (*session, error) {
	timeout := config.handshakeTimeout
	if c.HandshakeTimeout > 0 {
		timeout = c.HandshakeTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address, header := c.URL, c.Header
	var err error
	if config.url != nil {
		if address, err = config.url(bounded); err != nil {
			return nil, fmt.Errorf("URL: %w", redact.Error(err))
		}
	}
	if config.header != nil {
		if header, err = config.header(bounded); err != nil {
			return nil, fmt.Errorf("header: %w", redact.Error(err))
		}
	}
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	return c.connect(ctx, bounded, timeout, config, u, withConnected(header, held))
}

func parseURL(address string) (*url.URL, error) {
	u, err := redact.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errURL, err)
	}
	return u, nil
}

var errURL = errors.New("the URL is invalid")

// connect makes a session with u by the carrier that is the first to have one. It tries those
// that are known to be broken when all others have failed, or half of the time has passed.
// timeout is the time that bounded has beyond ctx.
func (c *Client) connect(ctx, bounded context.Context, timeout time.Duration, config *config, u *url.URL, header http.Header) (*session, error) {
	c.paths.learn(time.Now())
	header = header.Clone() // attempts that are given up may read it later
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
	var failed tryErrors
	for _, t := range tries {
		if bounded.Err() != nil { // not every carrier heeds its context
			t.end(t.explain(t.failure(ctxerr.Of(bounded))))
		}
		if t.err != nil {
			failed = append(failed, t.err)
			if t.mute && isRefused(t.err) { // perhaps because it offered nothing
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
		winner, _ := c.heat(append(usual, reserve...), left)(ctx, time.Now())
		return winner
	}
	winner, _ := first(ctx, left/2, []attempt{c.heat(usual, left/2), c.heat(reserve, left/2)})
	return winner
}

// An attempt returns the try that it has made a session of.
type attempt = race.Attempt[*try]

// heat returns the race between tries, which have so much time.
func (c *config) heat(tries []*try, left time.Duration) attempt {
	var runs []attempt
	for _, t := range tries {
		runs = append(runs, t.run)
	}
	// However short the time is, each try gets its turn.
	headStart := min(c.headStart, left/time.Duration(len(tries)))
	return func(ctx context.Context, _ time.Time) (*try, error) { return first(ctx, headStart, runs) }
}

func first(ctx context.Context, stagger time.Duration, attempts []attempt) (*try, error) {
	winner, t, errs := race.First(ctx, stagger, attempts, func(t *try) { t.session.mux.Close() })
	if winner < 0 {
		return nil, errs[0]
	}
	return t, nil
}

// won returns the winner's session, with the reasons why preferred carriers are not in use,
// and remembers those that are broken.
func (c *Client) won(winner *try, tries []*try) *session {
	now, session := time.Now(), winner.session
	var preferred tryErrors
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
	session.learn = func() {
		c.paths.learn(time.Now())
		c.stripped.learn(path, session, time.Now())
	}
	if last := tries[len(tries)-1]; winner != last { // another carrier could be used instead
		c.paths.connected(winner.path, now, session.mux.Context(), shortLife+session.silence)
	}
	return session
}

// tryErrors are the errors of tries, on one line.
type tryErrors []error

func (e *tryErrors) Error() string {
	texts := make([]string, len(*e))
	for i, err := range *e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e *tryErrors) Unwrap() []error { return *e }
