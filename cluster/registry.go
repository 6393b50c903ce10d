package cluster

import (
	"context"
	"fmt"
	"time"
)

// A Registry tells which replica holds a client. It is a hint: the replica that is asked
// has the last word, so that an entry which is stale or forged costs a try, and never
// reaches another client. [NewLocal] returns one for a single process; package
// cluster/natsregistry has one for many. Package cluster/clustertest is this contract,
// executed: run it on a registry of your own. A registry that has to be closed is closed
// by who made it, after the clusters that use it.
//
// Nothing about a client may need to be renewed: what a replica has announced lives and
// dies with its Join, and heartbeats are a matter of replicas. IDs are of any bytes, 1 to
// [MaxID] of them. Methods may be called by several goroutines at a time.
type Registry interface {
	// Join makes self a holder of clients, of which holder knows. It does not wait for
	// the engine behind the registry, whose absence is no error.
	Join(self Node, holder Holder) (Member, error)

	// Locate returns a claim to a client of a node whose Run is not in except: one that
	// is not Doubtful, if there is. It asks holders, and remembers nothing.
	//
	// The error matches [ErrNotConnected] if nobody claims the client, which takes a round
	// trip, [ErrMoved] if nobody does but those in except, and [ErrUnavailable] if that
	// cannot be said: at once if the engine is known to be away, and otherwise when ctx
	// ends, or before, if nobody answers for some seconds. If it is because ctx has ended,
	// it matches ctx's error too, and its cause ([context.Cause]). An id that cannot be
	// one ([CheckID]) is an error that matches none of these.
	Locate(ctx context.Context, id string, except ...string) (Claim, error)

	// Watch returns a channel that is sent the claims of nodes which get a session of a
	// client from then on, until ctx ends. It may lose some, when the engine is away or
	// the receiver is slow: not the latest, then. It may send one that there was before.
	// It may be closed when it will send no more, and need not be. An id that cannot be
	// one ([CheckID]) is an error.
	Watch(ctx context.Context, id string) (<-chan Claim, error)
}

// A Member is what a node has joined a [Registry] with. Its methods do not wait for the
// engine; what they say holds, and is announced again when the engine was away.
type Member interface {
	// Attach announces that the node has a session of the claim's client. If it has
	// announced that before, there is another session.
	Attach(Claim)

	// Detach takes that back: the node has no session of the client any more.
	Detach(id string)

	// Close takes back all of it, and has the holder not be asked any more. It may be
	// repeated.
	Close() error
}

// A Holder is what a node knows of the clients that it holds, for a [Registry] to ask.
// Its methods return at once, and do not call Close of the [Member], which waits for them.
type Holder interface {
	// Claim returns the node's claim to a client, if it holds one.
	Claim(id string) (Claim, bool)

	// Rival is told that another node has got a session of a client which this one has
	// announced too. It may be told so several times.
	Rival(Claim)
}

// MaxID is how many bytes an ID may have in a [Registry].
const MaxID = 1024

// A Node is one run of a replica. Its strings are UTF-8.
type Node struct {
	// Name of the replica. It is what its certificate is for, as a DNS name.
	Name string

	// Run is random, and has 128 bytes at most. No two runs of any replica have the same.
	Run string

	// URL where other replicas and services reach it.
	URL string

	// Pin is the SHA-256 of the public key of its certificate (the DER of its
	// SubjectPublicKeyInfo, as in RFC 7469, section 2.4), or nil if any certificate with
	// its name will do.
	Pin []byte
}

// A Claim says that a node has a session of a client.
type Claim struct {
	ID   string
	Node Node

	// Since is when the session began, by the node's clock. It tells which of two
	// claims is to be preferred, and nothing depends on that.
	Since time.Time

	// Doubtful is set while the node knows of a rival and has not heard from its own
	// client since.
	Doubtful bool
}

// Before reports whether c is to be preferred to another claim.
func (c Claim) Before(other Claim) bool {
	if c.Doubtful != other.Doubtful {
		return other.Doubtful
	}
	return c.Since.After(other.Since)
}

// CheckID returns an error unless id can be one in a [Registry].
func CheckID(id string) error {
	if id == "" || len(id) > MaxID {
		return fmt.Errorf("an ID of %d bytes, want 1 to %d", len(id), MaxID)
	}
	return nil
}
