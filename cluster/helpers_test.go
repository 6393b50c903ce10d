package cluster_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/transport"
)

// patient is how long replicas of tests may take to answer, unless a test wants to see that
// time pass: on a machine that is busy, a handshake takes more than the default.
const patient = 20 * time.Second

// A site is a cluster of replicas in one process, on real sockets.
type site struct {
	ca       *testcert.CA
	registry *noting
}

func newSite(t *testing.T) *site {
	t.Helper()
	leak.Check(t)
	return makeSite(t)
}

// newSiteBeside is newSite for a test that mostly waits, beside others.
func newSiteBeside(t *testing.T) *site {
	t.Helper()
	leak.Parallel(t)
	return makeSite(t)
}

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func makeSite(t *testing.T) *site {
	t.Helper()
	return &site{testcert.NewCA(t), &noting{Registry: cluster.NewLocal(), announced: make(map[string]map[string]int)}}
}

// A noting registry notes what replicas announce.
type noting struct {
	cluster.Registry

	mu        sync.Mutex // guards announced
	announced map[string]map[string]int
}

func (n *noting) Join(self cluster.Node, holder cluster.Holder) (cluster.Member, error) {
	member, err := n.Registry.Join(self, holder)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.announced[self.Name] = make(map[string]int)
	return notingMember{member, n, self.Name}, nil
}

// count returns how often the replica with a name has announced a client. It reports false if
// the replica has not joined, because it has another registry.
func (n *noting) count(name, id string) (times int, joined bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	clients, joined := n.announced[name]
	return clients[id], joined
}

type notingMember struct {
	cluster.Member
	registry *noting
	name     string
}

func (m notingMember) Attach(c cluster.Claim) {
	m.Member.Attach(c)
	m.registry.mu.Lock()
	defer m.registry.mu.Unlock()
	m.registry.announced[m.name][c.ID]++
}

// A replica has a server for clients, and one for other replicas.
type replica struct {
	*cluster.Cluster
	site    *site
	name    string
	clients *fleet.Fleet
	server  *transport.Server
	url     string
}

// replica starts one. It is closed when t is done.
func (s *site) replica(t *testing.T, name string, opts ...cluster.Option) *replica {
	t.Helper()
	ln := listen(t)
	return s.replicaAt(t, name, ln, "https://"+ln.Addr().String(), opts...)
}

// replicaAt starts a replica that others reach at url. Connections to url arrive at ln.
func (s *site) replicaAt(t *testing.T, name string, ln net.Listener, url string, opts ...cluster.Option) *replica {
	t.Helper()
	r := &replica{site: s, name: name, clients: fleet.New(fleet.ByHeader("DeviceId"))}
	r.server = transport.NewServer(r.clients, transport.WithAuthorize(r.clients.Authorize))
	web := httptest.NewServer(r.server)
	r.url = web.URL
	opts = append([]cluster.Option{
		cluster.WithRegistry(s.registry),
		cluster.WithTLSConfig(s.ca.Mutual(t, name)),
		cluster.WithNode(name, url),
		cluster.WithTryTimeout(patient),
	}, opts...)
	var err error
	if r.Cluster, err = cluster.New(r.clients, opts...); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		r.Cluster.Serve(ln)
	}()
	t.Cleanup(func() {
		r.server.Close()
		r.Cluster.Close()
		web.Close()
		<-served
	})
	return r
}

// service returns a cluster that only dials. It is closed when t is done.
func (s *site) service(t *testing.T, name string, opts ...cluster.Option) *cluster.Cluster {
	t.Helper()
	opts = append([]cluster.Option{
		cluster.WithRegistry(s.registry),
		cluster.WithTLSConfig(s.ca.Mutual(t, name)),
		cluster.WithTryTimeout(patient),
	}, opts...)
	c, err := cluster.New(nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// connect connects a client that greets on each connection with its name, and then says
// what it hears, and waits until the replica has it. It is closed when t is done.
func (r *replica) connect(t *testing.T, id, name string, opts ...transport.ClientOption) *transport.Listener {
	t.Helper()
	lis := r.listens(t, id, opts...)
	go greet(lis, name)
	return lis
}

// listens is connect for a client that accepts nothing.
func (r *replica) listens(t *testing.T, id string, opts ...transport.ClientOption) *transport.Listener {
	t.Helper()
	before, _ := r.site.registry.count(r.name, id)
	lis, err := transport.DialAndListenContext(t.Context(), r.url, http.Header{"Deviceid": {id}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	if _, err := r.clients.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the claim to the client", func() bool { // which follows the client
		n, joined := r.site.registry.count(r.name, id)
		return n > before || !joined
	})
	return lis
}

func greet(lis net.Listener, name string) {
	for {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			fmt.Fprintln(conn, name)
			io.Copy(conn, conn)
		}()
	}
}

// reaches expects that a client is the one with this name.
func reaches(t *testing.T, c *cluster.Cluster, id, name string) {
	t.Helper()
	if err := c.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	reachesNow(t, c, id, name)
}

// reachesNow is reaches for a client that is already there.
func reachesNow(t *testing.T, c *cluster.Cluster, id, name string) {
	t.Helper()
	conn, err := c.Dial(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := nameOf(t, conn); got != name {
		t.Errorf("client %s is %q, want %q", id, got, name)
	}
}

// reachesSoon is reaches for a cluster that may give up too soon: it tries again.
func reachesSoon(t *testing.T, c *cluster.Cluster, id, name string) {
	t.Helper()
	var conn net.Conn
	await.Until(t, id+" is reached", func() bool {
		var err error
		conn, err = c.Dial(t.Context(), id)
		return err == nil
	})
	defer conn.Close()
	if got := nameOf(t, conn); got != name {
		t.Errorf("client %s is %q, want %q", id, got, name)
	}
}

func nameOf(t *testing.T, conn net.Conn) string {
	t.Helper()
	var name string
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer conn.SetReadDeadline(time.Time{})
	if _, err := fmt.Fscanln(conn, &name); err != nil {
		t.Fatal("read:", err)
	}
	return name
}
