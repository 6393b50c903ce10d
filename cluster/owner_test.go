package cluster_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/transport"
)

// In TestClientHasMoved a client leaves one replica for another, and a third does not hear of
// it. The third asks the replica that had the client, and then the registry.
func TestClientHasMoved(t *testing.T) {
	s := newSite(t)
	a, b, said := s.replica(t, "a"), s.replica(t, "b"), s.hearsay()
	c := s.replica(t, "c", cluster.WithRegistry(said))
	a.connect(t, "other", "other")
	first := a.connect(t, "x", "first")
	reaches(t, c.Cluster, "x", "first")
	reaches(t, c.Cluster, "other", "other")

	a.disconnect(t, "x", first)
	b.connect(t, "x", "second")
	s.located(t, "x", "b")
	said.locates.Store(0)
	conn, err := c.Dial(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := nameOf(t, conn); got != "second" {
		t.Errorf("reached %q, want the client where it is now", got)
	}
	if got := said.locates.Load(); got != 1 {
		t.Errorf("the registry was asked %d times, want once", got)
	}
	if got := c.Stats().Moved; got != 1 {
		t.Errorf("%d replicas have said that the client is gone, want 1", got)
	}

	said.locates.Store(0)
	said.away.Store(true)
	reachesNow(t, c.Cluster, "x", "second")
	if got := said.locates.Load(); got != 0 {
		t.Errorf("the registry was asked %d times for a client that is where it was", got)
	}
}

// In TestClientHasComeHere a client that was elsewhere connects to the asker, and leaves.
func TestClientHasComeHere(t *testing.T) {
	s := newSite(t)
	a, b := s.replica(t, "a"), s.replica(t, "b")
	away := a.connect(t, "x", "away")
	reaches(t, b.Cluster, "x", "away")
	here := b.connect(t, "x", "here")
	reachesNow(t, b.Cluster, "x", "here")
	if got := b.Stats(); got.Local != 1 || got.Remote != 1 {
		t.Errorf("%+v, want one local dial and a remote one", got)
	}
	b.disconnect(t, "x", here)
	reachesNow(t, b.Cluster, "x", "away")
	a.disconnect(t, "x", away)
	_, err := b.Dial(t.Context(), "x")
	gone, ok := errors.AsType[*fleet.NotConnectedError](err)
	if !errors.Is(err, cluster.ErrNotConnected) || !ok || gone.Since.IsZero() {
		t.Errorf("%v, want ErrNotConnected, and since when that replica misses it", err)
	}
}

// In TestClientIsBack a client leaves a replica, which says so, and comes back to it. A dial
// asks that replica again.
func TestClientIsBack(t *testing.T) {
	s := newSite(t)
	a, said := s.replica(t, "a"), s.hearsay()
	c := s.service(t, "c", cluster.WithRegistry(said))
	lis := a.connect(t, "x", "first")
	reaches(t, c, "x", "first")
	a.disconnect(t, "x", lis)
	said.say(func(ctx context.Context, id string, except ...string) (cluster.Claim, error) {
		if _, ok := a.clients.Lookup(id); !ok {
			a.connect(t, id, "second")
			s.located(t, id, "a")
		}
		return s.registry.Locate(ctx, id, except...)
	})
	reachesNow(t, c, "x", "second")
	if got := c.Stats().Moved; got != 1 {
		t.Errorf("%d replicas have said that the client is gone, want 1", got)
	}
}

// In TestRegistryLies a registry says something wrong, once and for ever. That costs a try,
// and leads to the client, or to an error that names the replica.
func TestRegistryLies(t *testing.T) {
	long.Only(t)
	s := newSite(t)
	a, b := s.replica(t, "a"), s.replica(t, "b")
	a.connect(t, "x", "x")
	b.connect(t, "y", "y")
	s.located(t, "x", "a")
	s.located(t, "y", "b")
	holds, lacks := s.node(t, "x"), s.node(t, "y")
	changed := func(change func(*cluster.Node)) cluster.Node {
		n := holds
		n.Run = "another"
		change(&n)
		return n
	}
	at := func(url string) cluster.Node { return changed(func(n *cluster.Node) { n.URL = url }) }
	host := strings.TrimPrefix(holds.URL, "https://")
	wrong := sha256.Sum256(nil)
	const late = "no answer in time"
	for name, lie := range map[string]struct {
		node cluster.Node
		want string // in the error
	}{
		"another replica":        {lacks, `"b"`},
		"a run that is gone":     {at("https://" + closedAddr(t)), "refused"},
		"no certificate":         {at("https://" + silentAddr(t)), late},
		"the name of another":    {changed(func(n *cluster.Node) { n.Name = "b" }), "not b"},
		"plain HTTP":             {at("http://" + host), "want https://"},
		"plain WebSocket":        {at("ws://" + host), "want https://"},
		"no URL":                 {at(""), "want https://"},
		"no host":                {at("https:///"), "want https://"},
		"no name":                {changed(func(n *cluster.Node) { n.Name = "" }), "names no replica"},
		"another pin":            {changed(func(n *cluster.Node) { n.Pin = wrong[:] }), "pinned"},
		"an empty pin":           {changed(func(n *cluster.Node) { n.Pin = []byte{} }), "pinned"},
		"a name that is garbage": {changed(func(n *cluster.Node) { n.Name = "\x00\n" }), `"\x00\n"`},
		"a URL that is garbage":  {at("https://\x7f%zz:999999"), "URL"},
		"an invalid port":        {at("https://127.0.0.1:999999"), "999999"},
		"a path that is odd":     {at("https://" + host + "/%00?#"), ""}, // which reaches it
		"nothing":                {cluster.Node{}, `""`},
		"the server of clients":  {at(a.url), "want https://"},
	} {
		t.Run(name, func(t *testing.T) {
			said := s.hearsay()
			opts := []cluster.Option{cluster.WithRegistry(said)}
			if lie.want == late {
				opts = append(opts, cluster.WithTryTimeout(tryTimeout))
			}
			c := s.service(t, "c", opts...)
			said.claims(lie.node)
			conn, err := c.Dial(t.Context(), "x")
			if err == nil {
				defer conn.Close()
				if got := nameOf(t, conn); got != "x" || lie.want != "" {
					t.Fatalf("reached %q, want an error with %q", got, lie.want)
				}
				return
			}
			_, isPeer := errors.AsType[*cluster.PeerError](err)
			if isPeer == errors.Is(err, cluster.ErrMoved) || !strings.Contains(err.Error(), lie.want) {
				t.Errorf("%v, want ErrMoved or a PeerError, with %q", err, lie.want)
			}
			if errors.Is(err, cluster.ErrNotConnected) {
				t.Errorf("%v: nobody has said that", err)
			}
			if got := said.locates.Load(); got > 3 {
				t.Errorf("the registry was asked %d times, want 3 at most", got)
			}

			said.say(func(ctx context.Context, id string, except ...string) (cluster.Claim, error) {
				if len(except) == 0 {
					return cluster.Claim{ID: id, Node: lie.node}, nil
				}
				return s.registry.Locate(ctx, id, except...)
			})
			reachesSoon(t, c, "x", "x")
		})
	}
}

// In TestRegistryMixesUpClients a registry answers for another client.
func TestRegistryMixesUpClients(t *testing.T) {
	s := newSite(t)
	a, b, said := s.replica(t, "a"), s.replica(t, "b"), s.hearsay()
	a.connect(t, "x", "x")
	b.connect(t, "y", "y")
	s.located(t, "y", "b")
	c := s.service(t, "c", cluster.WithRegistry(said))
	said.say(func(ctx context.Context, _ string, except ...string) (cluster.Claim, error) {
		return s.registry.Locate(ctx, "y", except...)
	})
	if conn, err := c.Dial(t.Context(), "x"); !errors.Is(err, cluster.ErrMoved) {
		t.Errorf("%v, %v, want ErrMoved", conn, err)
	}
}

// TestOneHop asks a replica for a client of another, which is not asked in turn.
func TestOneHop(t *testing.T) {
	s := newSite(t)
	a, heard := s.replica(t, "a"), s.hearsay()
	a.connect(t, "x", "x")
	b := s.replica(t, "b", cluster.WithRegistry(heard))
	b.connect(t, "y", "y")
	s.located(t, "x", "a")
	s.located(t, "y", "b")
	if err := b.Wait(t.Context(), "x"); err != nil { // so that it could be remembered
		t.Fatal(err)
	}
	heard.locates.Store(0)
	said := s.hearsay()
	said.claims(s.node(t, "y"))
	c := s.service(t, "c", cluster.WithRegistry(said))
	if conn, err := c.Dial(t.Context(), "x"); !errors.Is(err, cluster.ErrMoved) {
		t.Errorf("%v, %v, want ErrMoved", conn, err)
	}
	if got, asked := b.Stats(), heard.locates.Load(); got.Peers != 0 || asked != 0 {
		t.Errorf("the replica that was asked has asked the registry %d times, and %d replicas", asked, got.Peers)
	}
}

// In TestComesWhileLocated a client comes here during a request to the registry.
func TestComesWhileLocated(t *testing.T) {
	s := newSite(t)
	said := s.hearsay()
	a := s.replica(t, "a", cluster.WithRegistry(said))
	said.say(func(ctx context.Context, id string, except ...string) (cluster.Claim, error) {
		a.connect(t, id, "x")
		s.located(t, id, "a")
		return s.registry.Locate(ctx, id, except...)
	})
	reachesNow(t, a.Cluster, "x", "x")
	if got := a.Stats(); got != (cluster.Stats{Local: 1}) {
		t.Errorf("%+v, want one local dial", got)
	}
}

// In TestOwnClaimIsStale the registry sends a replica to itself, for a client that it no
// longer has or cannot dial.
func TestOwnClaimIsStale(t *testing.T) {
	s := newSite(t)
	said := s.hearsay()
	a := s.replica(t, "a", cluster.WithRegistry(said))
	lis := a.connect(t, "x", "x")
	s.located(t, "x", "a")
	said.claims(s.node(t, "x"))
	a.disconnect(t, "x", lis)
	if _, err := a.Dial(t.Context(), "x"); !errors.Is(err, cluster.ErrMoved) {
		t.Errorf("%v, want ErrMoved", err)
	}
	if err := a.Wait(t.Context(), "x"); err != nil { // which believes it
		t.Fatal(err)
	}
	if _, err := a.Dial(t.Context(), "x"); !errors.Is(err, cluster.ErrMoved) {
		t.Errorf("%v, want ErrMoved", err)
	}
	if got := a.Stats().Peers; got != 0 {
		t.Errorf("%d sessions of a replica with itself", got)
	}
}

// closedAddr is an address at which nobody listens.
func closedAddr(t *testing.T) string {
	t.Helper()
	ln := listen(t)
	ln.Close()
	return ln.Addr().String()
}

// silentAddr is the address of a listener that says nothing.
func silentAddr(t *testing.T) string {
	t.Helper()
	return listen(t).Addr().String()
}

// listen listens on the loopback interface until t is done.
func listen(t *testing.T) net.Listener {
	t.Helper()
	return listenAt(t, "127.0.0.1:0")
}

func listenAt(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// disconnect closes a client, and waits until its replica knows.
func (r *replica) disconnect(t *testing.T, id string, lis *transport.Listener) {
	t.Helper()
	lis.Close()
	await.Until(t, "the replica knows that "+id+" is gone", func() bool {
		_, ok := r.clients.Lookup(id)
		return !ok
	})
}

// located waits until the registry says that a replica has a client.
func (s *site) located(t *testing.T, id, name string) {
	t.Helper()
	await.Until(t, name+" claims "+id, func() bool {
		claim, err := s.registry.Locate(t.Context(), id)
		return err == nil && claim.Node.Name == name
	})
}
