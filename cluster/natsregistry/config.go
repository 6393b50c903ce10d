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

// DefaultNamespace is what subjects begin with, if a [Config] names nothing else.
const DefaultNamespace = "backdial"

// DefaultUser is the default of [Config.User].
const DefaultUser = "replica"

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

// A Config says how a [Registry] talks to its engine. The zero value is of use.
type Config struct {
	// Namespace is what the subjects begin with: 1 to 64 letters, digits, - and _ of
	// ASCII. Clusters that share an engine have one each. "" means DefaultNamespace.
	Namespace string

	// User is the name under whose inboxes the registry is answered, of the same
	// characters. Permissions of the engine contain it, so each service that has
	// permissions of its own has a User of its own. It need not be the name in the
	// credentials. "" means DefaultUser, which is for replicas.
	User string

	// Options of the connection: credentials, TLS, a server in this process. An inbox
	// prefix is an error, because the inbox is that of User. They come after this package's own, which are pings every 2 s of which 2
	// may be unanswered, a first connection and reconnections that are tried for ever,
	// all 250 ms to 350 ms, and 2 s to dial. Their functions are called as well as this
	// package's. They cannot have anything be sent later that could not be sent when it
	// was said.
	Options []nats.Option

	// Logger is told when the engine comes and goes, and of what it refuses. Nil is
	// silent.
	Logger *slog.Logger
}

var validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// subjects returns those of the namespace and the user.
func (c Config) subjects() (subjects, error) {
	namespace, user := cmp.Or(c.Namespace, DefaultNamespace), cmp.Or(c.User, DefaultUser)
	for what, name := range map[string]string{"Namespace": namespace, "User": user} {
		if !validName.MatchString(name) {
			return subjects{}, fmt.Errorf("%s %q: want 1 to 64 letters, digits, - and _ of ASCII", what, name)
		}
	}
	return newSubjects(namespace, user), nil
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
		if o.InboxPrefix != "" {
			return fmt.Errorf("the inbox prefix %q: want none: answers go to the inbox of Config.User", o.InboxPrefix)
		}
		if o.NoEcho {
			return errors.New("with NoEcho, a registry does not find the replicas that have joined it")
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
