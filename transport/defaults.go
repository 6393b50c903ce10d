package transport

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/setting"
)

// The defaults of options. Only files whose names begin with "defaults" name an implementation.
var defaultCarriers = []carrier.Carrier{ws.New()}

const (
	// defaultHandshakeTimeout is enough for a slow mobile network, and short enough for a
	// person who waits.
	defaultHandshakeTimeout = 10 * time.Second

	// defaultHeadStart is enough to connect over most paths, and too short to be noticed.
	defaultHeadStart = 300 * time.Millisecond

	// minBackoff and maxBackoff limit how long a broken carrier is passed over: no client
	// stays on its fallback for good.
	minBackoff = time.Minute
	maxBackoff = time.Hour

	// strippedFor is how long a client offers no protocols where the server's choice gets
	// lost: each try to do so again costs a session.
	strippedFor = time.Hour

	// shortLife is how long a session that falls silent counts against its carrier: the path
	// let the handshake pass, but not what followed. By default the ends notice silence within
	// half a minute, if they can write anything.
	shortLife = 2 * time.Minute

	// portAttempts is how many ports to try when any will do but one carrier's is in use for
	// another.
	portAttempts = 10

	// defaultMaxSessions is enough for one process. An idle session costs some 15 KiB, and the
	// header of its request.
	defaultMaxSessions = 65536

	// defaultMaxHandshakes lets a crowd in without sending all of it to the user's authorize
	// function at once.
	defaultMaxHandshakes = 1024

	// defaultMaxStreamsOfClient limits the goroutines that one client costs.
	defaultMaxStreamsOfClient = 256

	// maxSessionsOfClient is enough for a client to be reachable, and keeps it from visiting
	// every server.
	maxSessionsOfClient = 8

	// defaultCloseGrace is enough for most requests, and does not keep a program for long that
	// has forgotten its connections.
	defaultCloseGrace = 5 * time.Second

	// defaultMaxAge applies to clients that can move without losing anything.
	defaultMaxAge = 24 * time.Hour

	// defaultDrainSpread is for a thousand clients or more. Fewer can arrive elsewhere one by
	// one in less time.
	defaultDrainSpread = 10 * time.Second
	drainSpreadEach    = defaultDrainSpread / 1000

	// The Retry-After values of refusals: when this address probably leads to another server,
	// or this one has room again or is less busy. Clients add jitter. A proxy may lead a
	// client that moves back to the server that it leaves, several times, and all of that has
	// to happen within moveGrace.
	drainRetryAfter      = time.Second
	sessionsRetryAfter   = 30 * time.Second
	handshakesRetryAfter = time.Second
	authorizeRetryAfter  = time.Second // what has failed there may work again

	// answerTime is for the answer to a handshake that has used up its time.
	answerTime = 5 * time.Second
)

// withDefaults returns c with defaults for all that is not set.
func (c config) withDefaults() config {
	if len(c.carriers) == 0 {
		c.carriers = defaultCarriers
	}
	if len(c.muxes) == 0 {
		c.muxes = defaultMuxes
	}
	c.handshakeTimeout = setting.Timeout(c.handshakeTimeout, defaultHandshakeTimeout)
	if c.headStart == 0 {
		c.headStart = defaultHeadStart
	}
	if c.retry == nil {
		c.retry = c.retryable
	}
	if c.keepAlive != nil {
		c.session.KeepAlive, c.session.KeepAliveTimeout = c.keepAlive.interval, c.keepAlive.timeout
	}
	c.maxSessions = setting.Limit(c.maxSessions, defaultMaxSessions)
	c.maxHandshakes = setting.Limit(c.maxHandshakes, defaultMaxHandshakes)
	c.sessions = max(c.sessions, 1)
	c.closeGrace = cmp.Or(c.closeGrace, defaultCloseGrace)
	c.maxAge = cmp.Or(c.maxAge, defaultMaxAge)
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// patience returns how long a carrier may take before another that is faster counts against
// it.
func (c *config) patience() time.Duration {
	if c.headStart < 0 {
		return defaultHeadStart
	}
	return c.headStart
}
