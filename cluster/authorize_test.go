package cluster_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/testlog"
)

// In TestAuthorize a replica decides by certificate and ID who may dial which client.
func TestAuthorize(t *testing.T) {
	const secret = "because of the moon"
	s := newSite(t)
	var logged testlog.Log
	a := s.replica(t, "a", cluster.WithLogger(logged.Logger()), cluster.WithAuthorize(func(_ context.Context, peer *x509.Certificate, id string) error {
		if peer.DNSNames[0] == "billing" && id == "meter" || peer.DNSNames[0] == "b" {
			return nil
		}
		return fmt.Errorf("%s: %s", peer.DNSNames[0], secret)
	}))
	a.connect(t, "meter", "meter")
	a.connect(t, "door", "door")
	s.located(t, "meter", "a")
	s.located(t, "door", "a")
	billing, other := s.service(t, "billing", cluster.WithWaitForClient()), s.service(t, "other")
	reachesNow(t, s.replica(t, "b").Cluster, "door", "door")
	reachesNow(t, a.Cluster, "door", "door") // whose own replica is not asked
	reachesNow(t, billing, "meter", "meter")
	for id, c := range map[string]*cluster.Cluster{"door": billing, "meter": other} {
		_, err := c.Dial(t.Context(), id)
		if !errors.Is(err, cluster.ErrNotAllowed) || errors.Is(err, cluster.ErrMoved) || errors.Is(err, cluster.ErrNotConnected) {
			t.Errorf("%v, want ErrNotAllowed", err)
		}
		if err != nil && (strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), `"a"`)) {
			t.Errorf("%v: want the replica's name, and not its reason", err)
		}
	}
	if !logged.Has(secret) {
		t.Error("the replica has not logged why")
	}
}

// In TestAuthorizePanics the application's function panics. That refuses the dial, and cuts
// nothing.
func TestAuthorizePanics(t *testing.T) {
	s := newSite(t)
	var logged testlog.Log
	a := s.replica(t, "a", cluster.WithLogger(logged.Logger()), cluster.WithAuthorize(func(_ context.Context, _ *x509.Certificate, id string) error {
		if id == "y" {
			panic("the function is broken")
		}
		return nil
	}))
	a.connect(t, "x", "x")
	a.connect(t, "y", "y")
	s.located(t, "y", "a")
	c := s.service(t, "c")
	conn := dial(t, c, "x")
	if _, err := c.Dial(t.Context(), "y"); !errors.Is(err, cluster.ErrNotAllowed) || strings.Contains(err.Error(), "broken") {
		t.Errorf("%v, want ErrNotAllowed alone", err)
	}
	echoes(t, conn, "not cut")
	if !logged.Has("the function is broken") || !logged.Has("authorize_test.go") {
		t.Error("the panic is not logged, with where it was")
	}
}

// In TestAuthorizeBlocks the application's function blocks, and learns that nobody waits for
// it any more.
func TestAuthorizeBlocks(t *testing.T) {
	s := newSite(t)
	asked, ended := make(chan string, 1), make(chan error, 1)
	a := s.replica(t, "a", cluster.WithAuthorize(func(ctx context.Context, _ *x509.Certificate, id string) error {
		if id != "y" {
			return nil
		}
		asked <- id
		<-ctx.Done()
		ended <- ctx.Err()
		return nil
	}))
	a.connect(t, "x", "x")
	a.connect(t, "y", "y")
	s.located(t, "y", "a")
	c := s.service(t, "c", cluster.WithTryTimeout(tryTimeout))
	reachesSoon(t, c, "x", "x") // and has a session
	conn := dial(t, c, "x")
	_, err := c.Dial(t.Context(), "y")
	if failed, ok := errors.AsType[*cluster.PeerError](err); !ok || failed.Node.Name != "a" {
		t.Errorf("%v, want a PeerError", err)
	}
	await.From(t, "the question", asked)
	began := time.Now()
	if err := await.From(t, "the end of the function", ended); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v, want that at once", err, time.Since(began))
	}
	echoes(t, conn, "not cut")
}
