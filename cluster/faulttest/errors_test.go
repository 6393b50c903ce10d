package faulttest

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
)

const (
	// atOnce bounds what waits for nothing, on a loaded machine. It is less than a second, the
	// shortest wait.
	atOnce = 900 * time.Millisecond

	// lease is how soon an engine gives up a replica from which it hears nothing, and a
	// replica an engine.
	lease = 3*beat + atOnce

	// try is how soon a replica that does not answer is given up: see
	// [cluster.WithTryTimeout].
	try = time.Second + atOnce
)

// wants expects an error of a kind within a time.
func (r *replica) wants(id string, kind error, within time.Duration) {
	r.site.t.Helper()
	if took, err := r.fails(id); !errors.Is(err, kind) || took > within {
		r.site.t.Errorf("%s dials %s: %v after %v, want %q within %v", r.name, id, err, took, kind, within)
	}
}

// wantsPeer expects an error that names a replica.
func (r *replica) wantsPeer(id string, named *replica) {
	r.site.t.Helper()
	took, err := r.fails(id)
	for range 2 { // a loaded machine may take longer now and then
		if took > try && names(err, named) {
			took, err = r.fails(id)
		}
	}
	if !names(err, named) || took > try {
		r.site.t.Errorf("%s dials %s: %v after %v, want one that names %s within %v", r.name, id, err, took, named.name, try)
	}
}

// names reports whether err names r as the replica that does not answer.
func names(err error, r *replica) bool {
	peer, ok := errors.AsType[*cluster.PeerError](err)
	return ok && peer.Node.Name == r.name
}

// loses waits until a dial by a replica says that a device is not connected.
func (r *replica) loses(id string) {
	r.site.t.Helper()
	r.site.await(r.name+" loses "+id, func() bool {
		r.site.t.Helper()
		_, err := r.fails(id)
		return errors.Is(err, cluster.ErrNotConnected)
	})
}

// eachWay tests something with a network that holds everything, and with one that resets
// connections.
func eachWay(t *testing.T, test func(t *testing.T, fail func(...*backdialtest.TCP))) {
	t.Run("hold", func(t *testing.T) { test(t, hold) })
	t.Run("cut", func(t *testing.T) { test(t, cut) })
}

// recoversOrFails expects a connection to go on, or to have ended so that it does not
// look complete.
func (s *site) recoversOrFails(c *call) {
	s.t.Helper()
	if c == nil {
		return
	}
	ctx, cancel := s.within(patience)
	defer cancel()
	if err := c.talks(ctx); err != nil && (errors.Is(err, io.EOF) || ctx.Err() != nil) {
		s.t.Errorf("a connection through %s has ended with %v", c.via, err)
	}
}

// lost expects a connection to end so that it does not look complete.
func (s *site) lost(c *call) {
	s.t.Helper()
	if c == nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, c); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Errorf("a connection through %s that was lost has ended with %v", c.via, err)
	}
}
