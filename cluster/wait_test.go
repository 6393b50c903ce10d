package cluster_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/long"
)

// A waiter waits for client x in one of the ways that there are.
type waiter func(ctx context.Context, c *cluster.Cluster) error

var waiters = map[string]waiter{
	"Wait": func(ctx context.Context, c *cluster.Cluster) error { return c.Wait(ctx, "x") },
	"Dial": func(ctx context.Context, c *cluster.Cluster) error {
		conn, err := c.Dial(ctx, "x")
		if err == nil {
			conn.Close()
		}
		return err
	},
}

// begin starts to wait, and returns when the registry was asked for the client.
func (w waiter) begin(t *testing.T, ctx context.Context, c *cluster.Cluster, asked *hearsay) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- w(ctx, c) }()
	await.Until(t, "the registry is asked", func() bool { return asked.locates.Load() > 1 })
	select {
	case err := <-done:
		t.Fatalf("%v, although the client is not there", err)
	default:
	}
	return done
}

// In TestWait a client comes while a caller waits for it.
func TestWait(t *testing.T) {
	long.Only(t)
	comes := map[string]func(t *testing.T, s *site, said *hearsay, here, there *replica){
		"here":      func(t *testing.T, _ *site, _ *hearsay, here, _ *replica) { here.connect(t, "x", "x") },
		"elsewhere": func(t *testing.T, _ *site, _ *hearsay, _, there *replica) { there.connect(t, "x", "x") },
		"while the registry is away": func(t *testing.T, s *site, said *hearsay, _, there *replica) {
			said.away.Store(true)
			there.connect(t, "x", "x")
			s.located(t, "x", "there")
			said.away.Store(false)
		},
	}
	for how, wait := range waiters {
		for where, come := range comes {
			t.Run(how+" "+where, func(t *testing.T) {
				s := newSite(t)
				said := s.hearsay()
				here := s.replica(t, "here", cluster.WithRegistry(said), cluster.WithWaitForClient())
				there := s.replica(t, "there")
				done := wait.begin(t, t.Context(), here.Cluster, said)
				come(t, s, said, here, there)
				if err := await.From(t, how, done); err != nil {
					t.Error(err)
				}
				reachesNow(t, here.Cluster, "x", "x")
			})
		}
	}
}

// mute is a registry whose Watch reports no client, or ends at once.
type mute struct {
	*hearsay
	closes bool
}

func (m mute) Watch(context.Context, string) (<-chan cluster.Claim, error) {
	claims := make(chan cluster.Claim)
	if m.closes {
		close(claims)
	}
	return claims, nil
}

// In TestWaitUnheard the registry does not report that the client comes.
func TestWaitUnheard(t *testing.T) {
	long.Only(t)
	for how, wait := range waiters {
		for _, closes := range []bool{false, true} {
			t.Run(how+map[bool]string{false: " lost", true: " closed"}[closes], func(t *testing.T) {
				s := newSite(t)
				said := s.hearsay()
				here := s.replica(t, "here", cluster.WithRegistry(mute{said, closes}), cluster.WithWaitForClient())
				there := s.replica(t, "there")
				done := wait.begin(t, t.Context(), here.Cluster, said)
				there.connect(t, "x", "x")
				if err := await.From(t, how, done); err != nil {
					t.Error(err)
				}
				if asked := said.locates.Load(); asked > 20 {
					t.Errorf("the registry was asked %d times", asked)
				}
			})
		}
	}
}

// In TestWaitIsPrompt the client comes here, which needs no registry, and elsewhere. The
// waiter hears of that, and does not poll.
func TestWaitIsPrompt(t *testing.T) {
	s := newSite(t)
	for _, where := range []string{"here", "there"} {
		said := s.hearsay()
		registry := cluster.Registry(said)
		if where == "here" {
			registry = mute{said, false}
		}
		here := s.replica(t, "here", cluster.WithRegistry(registry), cluster.WithWaitForClient())
		comes := here
		if where == "there" {
			comes = s.replica(t, "there")
		}
		fastest := time.Hour
		for range 5 { // of which one is enough, on a machine that is busy
			said.locates.Store(0)
			done := waiters["Dial"].begin(t, t.Context(), here.Cluster, said)
			began := time.Now()
			lis := comes.connect(t, "x", "x")
			if err := await.From(t, "the dial", done); err != nil {
				t.Fatal(err)
			}
			fastest = min(fastest, time.Since(began))
			comes.disconnect(t, "x", lis)
			await.Until(t, "nobody has the client", func() bool {
				_, err := s.registry.Locate(t.Context(), "x")
				return err != nil
			})
		}
		if fastest > 300*time.Millisecond {
			t.Errorf("%s: it took %v at best", where, fastest)
		}
	}
}

// TestWaitEnds ends a wait before the client comes.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	for how, wait := range waiters {
		t.Run(how, func(t *testing.T) {
			s := newSiteBeside(t)
			said := s.hearsay()
			r := s.replica(t, "a", cluster.WithRegistry(said), cluster.WithWaitForClient())
			ctx, cancel := context.WithCancel(t.Context())
			done := wait.begin(t, ctx, r.Cluster, said)
			cancel()
			if err := await.From(t, how, done); !errors.Is(err, context.Canceled) || !errors.Is(err, cluster.ErrNotConnected) {
				t.Errorf("%v, want the error of ctx, and ErrNotConnected", err)
			}

			said.away.Store(true)
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := wait(ctx, r.Cluster); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cluster.ErrUnavailable) {
				t.Errorf("%v, want the error of ctx, and ErrUnavailable", err)
			}

			said.locates.Store(0)
			done = wait.begin(t, t.Context(), r.Cluster, said)
			r.Cluster.Close()
			if err := await.From(t, how, done); !errors.Is(err, net.ErrClosed) || !errors.Is(err, cluster.ErrUnavailable) {
				t.Errorf("%v, want net.ErrClosed, and ErrUnavailable", err)
			}
		})
	}
}

// In TestWaitForMove the replica of a client hangs during a dial, and the client finds
// another.
func TestWaitForMove(t *testing.T) {
	s := newSiteBeside(t)
	said := s.hearsay()
	c := s.service(t, "c", cluster.WithRegistry(said), cluster.WithWaitForClient(), cluster.WithTryTimeout(tryTimeout))
	a, network := s.behind(t, "a")
	a.connect(t, "x", "lost")
	s.located(t, "x", "a")
	network.Freeze()
	b := s.replica(t, "b")
	dialled := make(chan error, 1)
	go func() {
		conn, err := c.Dial(t.Context(), "x")
		if err == nil {
			defer conn.Close()
			if got := nameOf(t, conn); got != "back" {
				t.Errorf("reached %q", got)
			}
		}
		dialled <- err
	}()
	await.Until(t, "the replica was asked in vain", func() bool { return said.locates.Load() > 1 })
	b.connect(t, "x", "back")
	if err := await.From(t, "the dial", dialled); err != nil {
		t.Error(err)
	}
}

// TestWaitForNoID waits for what cannot come.
func TestWaitForNoID(t *testing.T) {
	c := newSite(t).replica(t, "a", cluster.WithWaitForClient())
	if err := c.Wait(t.Context(), "no id"); !errors.Is(err, fleet.ErrInvalidID) {
		t.Errorf("%v, want fleet.ErrInvalidID", err)
	}
	if _, err := c.DialContext(t.Context(), "tcp", "no id:80"); !errors.Is(err, fleet.ErrInvalidID) {
		t.Errorf("%v, want fleet.ErrInvalidID", err)
	}
}
