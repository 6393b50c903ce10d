package natsregistry

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
)

// DefaultNamespace is what subjects begin with, if a [Config] names nothing else.
const DefaultNamespace = "backdial"

// What the connection to the engine is like, unless the user's options say otherwise.
// It is the lease of all that a replica has announced: an engine that has not heard from
// it gives it up, so both sides have to notice soon.
const (
	pingInterval    = 2 * time.Second
	maxPingsOut     = 2
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	dialTimeout     = 2 * time.Second

	// writeTimeout bounds for how long a write may hold up everything else that there is
	// to say, and pings.
	writeTimeout = pingInterval * maxPingsOut
)

// maxInboxPrefix is how long an inbox prefix may be, in bytes. With an ID of 1024 bytes, a
// request must fit into a line of the NATS protocol, whose servers allow 4096 by default.
const maxInboxPrefix = 256

// A Config says how a [Registry] talks to its engine. The zero value is of use.
type Config struct {
	// Namespace is what the subjects begin with: 1 to 64 letters, digits, - and _ of
	// ASCII. Clusters that share an engine have one each. "" means DefaultNamespace.
	Namespace string

	// Options of the connection: credentials, TLS, an inbox prefix, a server in this
	// process. They come after this package's own, which are pings every 2 s of which 2
	// may be unanswered, a first connection and reconnections that are tried for ever,
	// all 250 ms to 350 ms, and 2 s to dial. Their functions are called as well as this
	// package's. They cannot have anything be sent later that could not be sent when it
	// was said.
	Options []nats.Option

	// Logger is told when the engine comes and goes, and of what it refuses. Nil is
	// silent.
	Logger *slog.Logger
}

var validNamespace = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// namespace returns that of subjects.
func (c Config) namespace() (string, error) {
	switch {
	case c.Namespace == "":
		return DefaultNamespace, nil
	case !validNamespace.MatchString(c.Namespace):
		return "", fmt.Errorf("namespace %q: want 1 to 64 letters, digits, - and _ of ASCII", c.Namespace)
	}
	return c.Namespace, nil
}

// options returns those of the connection, which reports to l.
func (c Config) options(l *link, d *dialer) []nats.Option {
	ours := []nats.Option{
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOut),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.Timeout(dialTimeout),
		nats.FlusherTimeout(writeTimeout),
	}
	return append(append(ours, c.Options...), func(o *nats.Options) error {
		if len(o.InboxPrefix) > maxInboxPrefix {
			return fmt.Errorf("an inbox prefix of %d bytes, want %d at most", len(o.InboxPrefix), maxInboxPrefix)
		}
		if o.NoEcho {
			return errors.New("with NoEcho, what has joined by a connection is not located by it")
		}
		o.ReconnectBufSize = -1 // what is said while there is no engine is not for later
		if o.CustomDialer == nil {
			d.use(o.Dialer)
			o.CustomDialer = d
		}
		l.observe(o)
		return nil
	})
}
