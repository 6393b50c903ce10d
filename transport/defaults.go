package transport

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/setting"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// What is used unless options say otherwise. This is the only file of the
// package that names an implementation.
var (
	defaultCarriers = []carrier.Carrier{ws.New()}
	defaultMuxes    = []mux.Muxer{qmux.New(), yamuxmux.New()}
)

const (
	// defaultHandshakeTimeout is enough for a slow mobile network, and short
	// enough for a person who waits.
	defaultHandshakeTimeout = 10 * time.Second

	// defaultHeadStart is enough for a connection over most paths, and too
	// short to be noticed.
	defaultHeadStart = 300 * time.Millisecond

	// minBackoff and maxBackoff bound for how long a broken carrier is passed
	// over: not for so long that a client stays on its fallback for good.
	minBackoff = time.Minute
	maxBackoff = time.Hour

	// strippedFor is for how long a client offers no protocols where the server's
	// choice gets lost: each time that it tries costs a session.
	strippedFor = time.Hour

	// shortLife is for how long a session that falls silent is held against its
	// carrier: the path let the handshake pass, but not what followed. The
	// defaults notice silence within half a minute, if anything can be written.
	shortLife = 2 * time.Minute

	// portAttempts is how many ports are tried when any one will do, but one
	// carrier's is taken for another.
	portAttempts = 10

	// Enough for one process; each session costs some 15 KiB when it is idle, and
	// the header of its request.
	defaultMaxSessions = 65536

	// defaultMaxHandshakes lets a crowd in, without all of it being in front of
	// whoever authorizes clients.
	defaultMaxHandshakes = 1024

	// defaultMaxStreamsOfClient bounds the goroutines that one client costs.
	defaultMaxStreamsOfClient = 256

	// maxSessionsOfClient is for a client that is to be reachable, not for one that
	// visits every server that there is.
	maxSessionsOfClient = 8

	// defaultCloseGrace is enough for most requests, and does not keep a program for long that
	// has forgotten its connections.
	defaultCloseGrace = 5 * time.Second

	// defaultMaxAge is for clients that can move without losing anything.
	defaultMaxAge = 24 * time.Hour

	// defaultDrainSpread is for a thousand clients or more. Fewer need not take as
	// long to arrive elsewhere one by one.
	defaultDrainSpread = 10 * time.Second
	drainSpreadEach    = defaultDrainSpread / 1000

	// What clients that are refused are told, who add something at random: when
	// this server is likely to be another, has room again, or is less busy. A proxy
	// may send a client that moves to the server that it is to leave, several times,
	// and all of that has to happen within moveGrace.
	drainRetryAfter      = time.Second
	sessionsRetryAfter   = 30 * time.Second
	handshakesRetryAfter = time.Second
	authorizeRetryAfter  = time.Second // whatever has failed there may work again

	// answerTime is for the answer to a handshake that has taken all the time it had.
	answerTime = 5 * time.Second
)

// withDefaults returns c with everything set.
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

// patience is how long a carrier may take before it is held against it that
// another was faster.
func (c *config) patience() time.Duration {
	if c.headStart < 0 {
		return defaultHeadStart
	}
	return c.headStart
}
