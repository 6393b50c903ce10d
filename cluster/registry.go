package cluster

import (
	"context"
	"time"
)

// A Registry tells which replica holds a client. It is a hint: the replica decides when it is
// asked, so a stale or forged entry costs a try, and never reaches another client. [NewLocal]
// returns a registry for a single process; package cluster/natsregistry has one for many.
// Package cluster/clustertest is this contract as a test: run it on a registry of your own. If
// a registry has to be closed, the code that made it closes it, after the clusters that use
// it.
//
// A registry must not need anything about a client to be renewed: what a replica has announced
// lives and dies with its Join, and heartbeats are per replica. An ID is what [fleet.CheckID]
// accepts. Methods may be called concurrently.
type Registry interface {
	// Join makes self a holder of clients, which holder knows. It does not wait for the engine
	// of the registry, and returns no error if that is away.
	Join(self Node, holder Holder) (Member, error)

	// Locate returns a claim to a client from a node whose Run is not in except: one that is
	// not Doubtful, if there is any. It asks holders, and remembers nothing.
	//
	// The error matches [ErrNotConnected] if no node claims the client, which takes a round
	// trip; [ErrMoved] if only nodes in except do; and [ErrUnavailable] if the registry cannot
	// tell: at once if it knows that the engine is away, and otherwise when ctx ends, or
	// earlier, if there is no answer for some seconds. If ctx has ended, it matches ctx's
	// error too, and its cause ([context.Cause]). For an invalid id ([fleet.CheckID]) the error
	// matches none of these.
	Locate(ctx context.Context, id string, except ...string) (Claim, error)

	// Watch returns a channel of the claims of nodes that get a session of a client from now
	// on, until ctx ends. It may lose claims while the engine is away. A slow receiver may
	// miss claims, but not the latest. It may send an older one. It may be closed when there
	// will be no more, and need not be. An invalid id ([fleet.CheckID]) is an error.
	Watch(ctx context.Context, id string) (<-chan Claim, error)
}

// A Member is a node's membership in a [Registry]. Its methods do not wait for the engine:
// after the engine was away, the registry announces again what holds.
type Member interface {
	// Attach announces that the node has a session of the claim's client. If it has announced
	// that before, there is another session.
	Attach(Claim)

	// Detach withdraws the claim: the node has no session of the client any more.
	Detach(id string)

	// Close withdraws all claims; the holder gets no more calls. It may be repeated.
	Close() error
}

// A Holder tells a [Registry] what a node knows of the clients that it holds. Its methods
// return at once, and must not call Close of the [Member], which waits for them.
type Holder interface {
	// Claim returns the node's claim to a client, if it holds one.
	Claim(id string) (Claim, bool)

	// Rival is called when another node has got a session of a client that this one has
	// announced too. It may be called several times for the same session.
	Rival(Claim)
}

// A Node is one run of a replica. Its strings are UTF-8.
type Node struct {
	// Name is the name of the replica, which is in its certificate, as a DNS name.
	Name string

	// Run is random, and has at most 128 bytes. No two runs of any replica have the same.
	Run string

	// URL is where other replicas and services reach it.
	URL string

	// Pin is the SHA-256 of the public key of its certificate (the DER of its
	// SubjectPublicKeyInfo, as in RFC 7469, section 2.4), or nil if any certificate with its
	// name will do.
	Pin []byte
}

// A Claim says that a node has a session of a client.
type Claim struct {
	ID   string
	Node Node

	// Since is when the session began, by the node's clock. It tells which of two claims to
	// prefer, and nothing else depends on it.
	Since time.Time

	// Doubtful is set while the node knows of a rival and has not heard from its own client
	// since.
	Doubtful bool
}

// Before reports whether c is preferred to another claim.
func (c Claim) Before(other Claim) bool {
	if c.Doubtful != other.Doubtful {
		return other.Doubtful
	}
	return c.Since.After(other.Since)
}
