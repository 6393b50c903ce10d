package cluster_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/transport"
)

// backlog is how many connections a client may have that it has not accepted.
const backlog = 256

// full connects a client that accepts nothing, and has no room for another connection.
func (r *replica) full(t *testing.T, id string) *transport.Listener {
	t.Helper()
	lis, err := transport.DialAndListenContext(t.Context(), r.url, http.Header{"Deviceid": {id}}, transport.WithCloseGrace(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	d, err := r.clients.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for range backlog {
		conn, err := d.DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	return lis
}

// running reports whether a goroutine is in a function of the package.
func running(function string) bool {
	stacks := make([]byte, 4<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "cluster.(*Cluster)."+function+"(")
}

// TestHeldUntilCtxEnds dials a client that accepts no connections: the asker waits longer
// than for a replica that hangs, and when it stops waiting, so does the owner.
func TestHeldUntilCtxEnds(t *testing.T) {
	s := newSiteBeside(t)
	a := s.replica(t, "a")
	a.full(t, "x")
	a.connect(t, "y", "y")
	s.located(t, "x", "a")
	s.located(t, "y", "a")
	c := s.service(t, "c", cluster.WithTryTimeout(tryTimeout))
	reachesSoon(t, c, "y", "y") // and has a session
	ctx, cancel := context.WithTimeout(t.Context(), 2*tryTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := c.Dial(ctx, "x")
		done <- err
	}()
	await.Until(t, "the owner waits", func() bool { return running("dialSlowly") })
	reachesSoon(t, c, "y", "y") // nobody else has to wait
	err := await.From(t, "the dial", done)
	if _, isPeer := errors.AsType[*cluster.PeerError](err); isPeer || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("%v, want the error of ctx, and the replica's name", err)
	}
	if ctx.Err() == nil {
		t.Error("the dial has not waited for ctx")
	}
	await.Until(t, "the owner does not wait", func() bool { return !running("dialSlowly") && !running("answer") })
	if got := a.Stats().Relayed; got != 0 {
		t.Errorf("%d connections are relayed", got)
	}
}

// In TestHeldUntilAccepted the client accepts connections in the end.
func TestHeldUntilAccepted(t *testing.T) {
	s := newSiteBeside(t)
	a := s.replica(t, "a")
	lis := a.full(t, "x")
	a.connect(t, "y", "y")
	s.located(t, "x", "a")
	s.located(t, "y", "a")
	c := s.service(t, "c", cluster.WithTryTimeout(tryTimeout))
	reachesSoon(t, c, "y", "y") // and has a session
	dialled := make(chan net.Conn, 1)
	began := time.Now()
	go func() {
		conn, err := c.Dial(t.Context(), "x")
		if err != nil {
			t.Error(err)
		}
		dialled <- conn
	}()
	await.Until(t, "the time to answer has passed", func() bool {
		return running("dialSlowly") && time.Since(began) > 2*tryTimeout
	})
	go greet(lis, "x")
	conn := await.From(t, "the dial", dialled)
	if conn == nil {
		return
	}
	defer conn.Close()
	if got := nameOf(t, conn); got != "x" {
		t.Errorf("reached %q", got)
	}
	echoes(t, conn, "both ways")
}

// In TestHeldClientGoes the client or its replica leaves during a dial.
func TestHeldClientGoes(t *testing.T) {
	for _, what := range []string{"gone", "elsewhere", "replica closed"} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t)
			a, b := s.replica(t, "a"), s.replica(t, "b")
			lis := a.full(t, "x")
			s.located(t, "x", "a")
			c := s.service(t, "c")
			done := make(chan error, 1)
			go func() {
				conn, err := c.Dial(t.Context(), "x")
				if err == nil {
					defer conn.Close()
					if got := nameOf(t, conn); got != "of-b" {
						t.Errorf("reached %q", got)
					}
				}
				done <- err
			}()
			await.Until(t, "the owner waits", func() bool { return running("dialSlowly") })
			switch what {
			case "elsewhere":
				b.connect(t, "x", "of-b")
				s.located(t, "x", "b")
				fallthrough
			case "gone":
				lis.Close()
			default:
				a.Cluster.Close()
			}
			err := await.From(t, "the dial", done)
			switch {
			case what == "elsewhere":
				if err != nil {
					t.Error(err)
				}
			case errors.Is(err, cluster.ErrMoved): // if the claim is there for a moment yet
			case !errors.Is(err, cluster.ErrNotConnected):
				t.Errorf("%v, want ErrNotConnected", err)
			}
		})
	}
}
