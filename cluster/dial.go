package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/backdial/backdial/fleet"
)

// maxTries is how many replicas that claim a client a Dial asks.
const maxTries = 3

// Dial opens a connection to a client, wherever it is connected, and returns a
// [transport.Conn]. For a client of this process that costs no round trip, and does not
// involve the registry. For any other client, Dial asks the replica that had it last, and if
// that no longer has it, the replica that claims it now. ctx limits the call and not the
// connection.
//
// The error matches [ErrNotConnected], [ErrMoved], [ErrUnavailable], [ErrNotAllowed],
// [*PeerError], or [fleet.ErrInvalidID]. An error that matches one of the first two matches
// [*fleet.NotConnectedError] too, so a program that used a fleet need not change. If a client
// is connected but takes no more connections, Dial blocks until ctx ends. If ctx ends first,
// the error matches ctx's too. After [Cluster.Close], the error for a client of another
// replica matches [net.ErrClosed].
//
// [transport.Conn]: https://pkg.go.dev/github.com/backdial/backdial/transport#Conn
func (c *Cluster) Dial(ctx context.Context, id string) (net.Conn, error) {
	conn, err := c.dial(ctx, id)
	if err != nil {
		c.stats.failed.Add(1)
		return nil, fmt.Errorf("cluster: dial: %w", err)
	}
	return conn, nil
}

// DialContext is [Cluster.Dial] of the client whose ID is the host in addr. It ignores the
// port in addr, if any, and network.
func (c *Cluster) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	id, _, err := net.SplitHostPort(addr)
	if err != nil {
		id = addr
	}
	return c.Dial(ctx, id)
}

func (c *Cluster) dial(ctx context.Context, id string) (net.Conn, error) {
	if err := fleet.CheckID(id); err != nil {
		return nil, err
	}
	conn, why := c.try(ctx, id)
	if why == nil || !c.waits || !passes(why) {
		return conn, why
	}
	signs, stop := c.signs(ctx, id)
	defer stop()
	for {
		conn, err := c.try(ctx, id)
		if err == nil || !passes(err) {
			return conn, err
		}
		if ctx.Err() == nil { // otherwise err may say no more than that
			why = err
		}
		if ended := signs.next(ctx); ended != nil {
			return nil, fmt.Errorf("%w, while waiting after: %w", ended, why)
		}
	}
}

// passes reports whether err may be gone the next time.
func passes(err error) bool {
	if _, ok := errors.AsType[*PeerError](err); ok {
		return true
	}
	return errors.Is(err, ErrNotConnected) || errors.Is(err, ErrMoved) || errors.Is(err, ErrUnavailable)
}

// try dials a client where it is now.
func (c *Cluster) try(ctx context.Context, id string) (net.Conn, error) {
	conn, err := c.tryHere(ctx, id)
	away, ok := errors.AsType[*fleet.NotConnectedError](err)
	if !ok {
		return conn, err
	}
	conn, err = c.tryOthers(ctx, id)
	if errors.Is(err, ErrNotConnected) || errors.Is(err, ErrMoved) {
		err = &fleet.NotConnectedError{ID: id, Since: away.Since, Cause: err}
	}
	return conn, err
}

// tryHere dials a client of this process.
func (c *Cluster) tryHere(ctx context.Context, id string) (net.Conn, error) {
	if c.clients == nil {
		return nil, &fleet.NotConnectedError{ID: id}
	}
	conn, err := c.clients.TryDial(ctx, id)
	if err == nil {
		c.stats.local.Add(1)
	}
	return conn, err
}

// tryOthers dials a client of another process.
func (c *Cluster) tryOthers(ctx context.Context, id string) (net.Conn, error) {
	var failed error // of the replica that was asked last
	var asked []string
	if node, ok := c.owners.get(id); ok {
		conn, err := c.tryReplica(ctx, node, id)
		if err == nil || !passes(err) || ctx.Err() != nil {
			return conn, err
		}
		if !errors.Is(err, ErrMoved) { // otherwise it may claim the client again
			failed, asked = err, append(asked, node.Run)
		}
	}
	for range maxTries {
		claim, err := c.registry.Locate(ctx, id, asked...)
		if err != nil {
			return nil, located(err, failed)
		}
		if claim.Node.Run == c.self.Run { // the client has just come, or just gone
			conn, err := c.tryHere(ctx, id)
			if _, gone := errors.AsType[*fleet.NotConnectedError](err); !gone {
				return conn, err
			}
			failed = fmt.Errorf("this replica: %w", ErrMoved)
		} else {
			conn, err := c.tryReplica(ctx, claim.Node, id)
			if err == nil || !passes(err) || ctx.Err() != nil {
				return conn, err
			}
			failed = err
		}
		asked = append(asked, claim.Node.Run)
	}
	return nil, failed
}

// located returns the error when no other replica can be asked. If those that were asked still
// claim the client, their error tells more.
func located(err, failed error) error {
	switch {
	case failed == nil, errors.Is(err, ErrNotConnected):
		return err
	case errors.Is(err, ErrMoved):
		return failed
	}
	return fmt.Errorf("%w, after: %w", err, failed)
}

// tryReplica opens a connection to a client through the node that is said to hold it, and
// remembers that node.
func (c *Cluster) tryReplica(ctx context.Context, node Node, id string) (net.Conn, error) {
	conn, err := c.peers.dial(ctx, node, id)
	switch {
	case err == nil:
		c.stats.remote.Add(1)
		c.owners.set(id, node)
		return conn, nil
	case errors.Is(err, ErrMoved):
		c.stats.moved.Add(1)
	}
	c.owners.forget(id)
	return nil, err
}
