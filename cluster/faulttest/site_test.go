package faulttest

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
)

// patience bounds what has to happen, on a loaded machine.
const patience = 20 * time.Second

// A site is a cluster, and the devices that are its clients.
type site struct {
	t        *testing.T
	ca       *backdialtest.CA
	caFile   string
	log      *log
	engine   *server.Server // apart, or nil if each replica has one
	replicas []*replica     // that are there, the oldest first
	places   *places
}

// Places are the replicas by the addresses at which devices find them.
type places struct {
	mu sync.Mutex
	at map[string]*replica
}

func (p *places) set(addr string, r *replica) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[addr] = r
}

// name returns the name of the replica at an address.
func (p *places) name(addr string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.at[addr]; r != nil {
		return r.name
	}
	return "unknown"
}

// newSite returns a site without replicas.
func newSite(t *testing.T) *site {
	t.Helper()
	backdialtest.CheckLeaks(t)
	s := &site{t: t, ca: backdialtest.NewCA(t), log: new(log), places: &places{at: make(map[string]*replica)}}
	s.caFile = s.ca.File(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what replicas have logged:\n%s", s.log.String())
		}
	})
	return s
}

// three returns a site, and its replicas a, b and c, which find each other.
func three(t *testing.T) (s *site, a, b, c *replica) {
	t.Helper()
	s = newSite(t)
	return s, s.replica("a"), s.replica("b"), s.replica("c")
}

// around is three with an engine apart from the replicas.
func around(t *testing.T) (s *site, a, b, c *replica) {
	t.Helper()
	s = newSite(t)
	s.startEngine(server.RANDOM_PORT)
	return s, s.replica("a"), s.replica("b"), s.replica("c")
}

// startEngine starts an engine that is apart, at a port. It is stopped when t is done.
func (s *site) startEngine(port int) {
	s.t.Helper()
	e, err := apart(port, s.ca.Mutual(s.t, "127.0.0.1"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.engine = e
	s.t.Cleanup(func() { stopEngine(e) })
}

// A log is written by all replicas.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A replica is one of a site, in this process or as a child.
type replica struct {
	site *site
	name string
	addresses
	others    *backdialtest.TCP            // from other replicas
	engine    *backdialtest.TCP            // to an engine apart
	routes    map[string]*backdialtest.TCP // to the engines of older replicas
	*instance                              // nil for a child
}

// replica starts one in this process. It is closed when t is done.
func (s *site) replica(name string) *replica {
	s.t.Helper()
	r := s.newReplica(name)
	i, err := prepare(r.setup(), s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(i.close)
	r.instance = i
	if err := i.start(r.listens(i.addresses())); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// newReplica returns one that does not run yet.
func (s *site) newReplica(name string) *replica {
	s.t.Helper()
	return &replica{site: s, name: name, routes: make(map[string]*backdialtest.TCP)}
}

// setup returns what a replica is told, with the engines to join.
func (r *replica) setup() setup {
	s := r.site
	s.t.Helper()
	told := setup{Name: r.name, CA: s.caFile}
	told.Certificate, told.Key = backdialtest.CertFiles(s.t, s.ca.Issue(s.t, r.name, "127.0.0.1"))
	if s.engine != nil {
		r.engine = backdialtest.NewTCP(s.t, s.engine.Addr().String(), 1)
		told.Engine = r.engine.Addr()
		return told
	}
	for _, older := range s.replicas {
		r.routes[older.name] = backdialtest.NewTCP(s.t, older.Routes, 1)
		told.Join = append(told.Join, r.routes[older.name].Addr())
	}
	return told
}

// listens notes where a replica is, and returns the URL where others reach it.
func (r *replica) listens(at addresses) (url string) {
	r.addresses = at
	r.others = backdialtest.NewTCP(r.site.t, at.Peers, 1)
	r.site.replicas = append(r.site.replicas, r)
	return "https://" + r.others.Addr()
}

// dial dials a client as users of a replica do.
func (r *replica) dial(ctx context.Context, id string) (net.Conn, error) {
	if r.instance != nil {
		return r.Dial(ctx, id)
	}
	conn, told, err := through(ctx, r.Gate, request{ID: id})
	if err == nil && told.Failure != nil {
		err = told.Failure
	}
	return conn, err
}

// waiting returns a service that waits for clients, and finds them as r does.
func (r *replica) waiting(opts ...cluster.Option) *cluster.Cluster {
	r.site.t.Helper()
	c, err := r.service(append(opts, cluster.WithWaitForClient())...)
	if err != nil {
		r.site.t.Fatal(err)
	}
	r.site.t.Cleanup(func() { c.Close() })
	return c
}

// hold makes networks deliver nothing, and lose nothing, until heal.
func hold(networks ...*backdialtest.TCP) {
	for _, n := range networks {
		n.Freeze()
	}
}

// cut makes networks reset old connections and new ones, until heal.
func cut(networks ...*backdialtest.TCP) {
	for _, n := range networks {
		n.Set(backdialtest.Conditions{Refuse: true})
		n.Cut(backdialtest.Reset)
	}
}

func heal(networks ...*backdialtest.TCP) {
	for _, n := range networks {
		n.Set(backdialtest.Conditions{})
	}
}

// await waits until done returns true.
func (s *site) await(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !done(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// leaves removes a replica from the list that later replicas join.
func (s *site) leaves(r *replica) {
	s.replicas = slices.DeleteFunc(s.replicas, func(other *replica) bool { return other == r })
}

// has reports whether a replica of this process has a client.
func (r *replica) has(d *device) bool {
	_, ok := r.clients.Lookup(d.id)
	return ok
}

// engines returns to how many others a replica's engine is connected.
func (r *replica) engines() int { return r.instance.engine.Routes() }

// forgetful returns a service that has dialled nobody yet, and finds clients as r does.
// The caller closes it.
func (r *replica) forgetful() *cluster.Cluster {
	r.site.t.Helper()
	c, err := r.service()
	if err != nil {
		r.site.t.Fatal(err)
	}
	return c
}

// sent is how many messages an engine apart has passed on.
func (s *site) sent() int64 {
	s.t.Helper()
	v, err := s.engine.Varz(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return v.OutMsgs
}
