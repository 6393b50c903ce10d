package cluster_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
)

// In TestShutdownWaits each end of a connection shuts down while it is in use.
func TestShutdownWaits(t *testing.T) {
	for _, end := range []string{"asker", "owner"} {
		t.Run(end, func(t *testing.T) {
			s := newSite(t)
			heard := map[string]*hearsay{"owner": s.hearsay(), "asker": s.hearsay()}
			a := s.replica(t, "a", cluster.WithRegistry(heard["owner"]))
			c := s.replica(t, "c", cluster.WithRegistry(heard["asker"]))
			a.connect(t, "x", "x")
			conn := dial(t, c.Cluster, "x")
			down := c
			if end == "owner" {
				down = a
			}
			done := make(chan error, 1)
			go func() { done <- down.Cluster.Shutdown(t.Context()) }()
			heard[end].wasTold(t, map[string][]string{"owner": {"+x", "close"}, "asker": {"close"}}[end]...)
			refuses(t, c.Cluster, "x")
			echoes(t, conn, "in use")
			select {
			case err := <-done:
				t.Fatalf("%v, although a connection is in use", err)
			default:
			}
			conn.Close()
			if err := await.From(t, "the end of Shutdown", done); err != nil {
				t.Error(err)
			}
			if got := down.Stats(); got.Peers != 0 || got.Relayed != 0 {
				t.Errorf("%+v, want no sessions", got)
			}
			reachesNow(t, a.Cluster, "x", "x")
		})
	}
}

// In TestShutdownEnds the ctx of a Shutdown ends while a connection is in use.
func TestShutdownEnds(t *testing.T) {
	for _, end := range []string{"asker", "owner"} {
		t.Run(end, func(t *testing.T) {
			s := newSite(t)
			a, c := s.replica(t, "a"), s.replica(t, "c")
			a.connect(t, "x", "x")
			conn := dial(t, c.Cluster, "x")
			down := c
			if end == "owner" {
				down = a
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- down.Cluster.Shutdown(ctx) }()
			refuses(t, c.Cluster, "x")
			echoes(t, conn, "in use")
			cancel()
			if err := await.From(t, "the end of Shutdown", done); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want ctx's error", err)
			}
			isCut(t, conn)
		})
	}
}

// In TestRegistryIsTold clients come and go, also before the cluster is there, and then the
// cluster itself goes. The registry hears of all.
func TestRegistryIsTold(t *testing.T) {
	for name, leave := range map[string]func(*cluster.Cluster) error{
		"Close":    (*cluster.Cluster).Close,
		"Shutdown": func(c *cluster.Cluster) error { return c.Shutdown(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			heard := s.hearsay()
			r := s.replica(t, "a", cluster.WithRegistry(heard))
			first := r.connect(t, "x", "x")
			heard.wasTold(t, "+x")
			r.disconnect(t, "x", first)
			heard.wasTold(t, "+x", "-x")
			r.connect(t, "x", "x")
			heard.wasTold(t, "+x", "-x", "+x")
			r.connect(t, "x", "x") // in place of the one before, so that it is there all the time
			heard.wasTold(t, "+x", "-x", "+x", "+x")

			later := s.hearsay()
			c, err := cluster.New(r.clients, cluster.WithRegistry(later), cluster.WithTLSConfig(s.ca.Mutual(t, "b")),
				cluster.WithNode("b", "https://127.0.0.1:1"))
			if err != nil {
				t.Fatal(err)
			}
			later.wasTold(t, "+x")
			if err := leave(c); err != nil {
				t.Error(err)
			}
			await.Until(t, "it has left", func() bool {
				later.mu.Lock()
				defer later.mu.Unlock()
				return slices.Contains(later.told, "close") && !slices.Contains(later.told, "-x")
			})
			if claim, ok := later.holder.Claim("x"); ok {
				t.Errorf("it still claims %+v", claim)
			}
		})
	}
}

// In TestCloseWhileOwnerLeaves the asker closes while it uses a session that opens no more
// connections.
func TestCloseWhileOwnerLeaves(t *testing.T) {
	s := newSite(t)
	a, c := s.replica(t, "a"), s.replica(t, "c")
	a.connect(t, "x", "x")
	conn := dial(t, c.Cluster, "x")
	left := make(chan error, 1)
	go func() { left <- a.Cluster.Shutdown(t.Context()) }()
	refuses(t, c.Cluster, "x")
	echoes(t, conn, "in use")
	if got := c.Stats().Peers; got != 1 {
		t.Errorf("%d sessions, want the one in use", got)
	}
	closed := make(chan error, 1)
	go func() { closed <- c.Cluster.Close() }()
	await.From(t, "the end of Close", closed)
	isCut(t, conn)
	if err := await.From(t, "the end of Shutdown", left); err != nil {
		t.Error(err)
	}
}

// refuses waits until a client of another replica cannot be dialled, because one of the
// two leaves.
func refuses(t *testing.T, c *cluster.Cluster, id string) {
	t.Helper()
	await.Until(t, "no dial of "+id, func() bool {
		conn, err := c.Dial(t.Context(), id)
		if err == nil {
			conn.Close()
		} else if _, isPeer := errors.AsType[*cluster.PeerError](err); !isPeer && !errors.Is(err, cluster.ErrNotConnected) && !errors.Is(err, cluster.ErrMoved) {
			t.Fatalf("%v, want ErrNotConnected, ErrMoved or a PeerError", err)
		}
		return err != nil
	})
}

// isCut expects that a connection ends, and not in a way that looks complete.
func isCut(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	switch _, err := conn.Read(make([]byte, 1)); {
	case err == nil, err == io.EOF, errors.Is(err, os.ErrDeadlineExceeded):
		t.Fatalf("read: %v, want an error that tells of the cut", err)
	}
}
