package natsregistry

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
)

// DefaultNamespace is the default of [Config.Namespace].
const DefaultNamespace = "backdial"

// DefaultUser is the default of [Config.User].
const DefaultUser = "replica"

// The connection to the engine, unless the user's options say otherwise. Everything that a replica
// has announced lives as long as its connection, so both sides have to notice its loss soon.
const (
	pingInterval    = 2 * time.Second
	maxPingsOut     = 2
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	dialTimeout     = 2 * time.Second

	// writeTimeout limits how long a write may hold up other messages, and pings.
	writeTimeout = pingInterval * maxPingsOut
)

// A Config says how a [Registry] uses its engine. The zero value is valid.
type Config struct {
	// Namespace is the first part of all subjects: 1 to 64 ASCII letters, digits, - and _.
	// Clusters that share an engine need one each. "" means DefaultNamespace.
	Namespace string

	// User is the name under whose inboxes the registry gets answers, with the same
	// characters. The engine's permissions contain it, so each service with permissions of its
	// own needs a User of its own. It need not be the name in the credentials. "" means
	// DefaultUser, which is for replicas.
	User string

	// Options are options of the connection: credentials, TLS, a server in this process. An
	// inbox prefix is an error, because the inbox is that of User. They follow this package's
	// own: pings every 2 s of which 2 may be unanswered, a first connection and reconnections
	// that are tried for ever, every 250 ms to 350 ms, and 2 s to dial. Their functions are
	// called in addition to this package's. They cannot turn on buffering while disconnected.
	Options []nats.Option

	// Logger logs when the engine comes and goes, and what it refuses. Nil is silent.
	Logger *slog.Logger
}

var validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// subjects returns the subjects of the namespace and the user.
func (c Config) subjects() (subjects, error) {
	namespace, user := cmp.Or(c.Namespace, DefaultNamespace), cmp.Or(c.User, DefaultUser)
	for what, name := range map[string]string{"Namespace": namespace, "User": user} {
		if !validName.MatchString(name) {
			return subjects{}, fmt.Errorf("%s %q: want 1 to 64 letters, digits, - and _ of ASCII", what, name)
		}
	}
	return newSubjects(namespace, user), nil
}

// options returns the options of the connection, which reports to l.
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
		if o.InboxPrefix != "" {
			return fmt.Errorf("the inbox prefix %q: want none: answers go to the inbox of Config.User", o.InboxPrefix)
		}
		if o.NoEcho {
			return errors.New("with NoEcho, a registry does not find the replicas that have joined it")
		}
		o.ReconnectBufSize = -1 // do not send later what was said without an engine
		if o.CustomDialer == nil {
			d.use(o.Dialer)
			o.CustomDialer = d
		}
		l.observe(o)
		return nil
	})
}
