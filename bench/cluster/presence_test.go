package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
	"github.com/backdial/backdial/cluster/natsserver"
	"github.com/backdial/backdial/internal/leak"
)

// nodes is how many replicas there are, each with an engine. The clients are spread over
// them.
const nodes = 3

// presences announces clients as fast as it can, measures what they take,
// and then has a replica's engine be lost, and all of them, which come back empty.
func presences(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 300_000} {
		if n > harness.UnlessShort(300_000, 10_000) {
			break
		}
		b.Run(fmt.Sprintf("clients=%d/case=three replicas", n), func(b *testing.B) {
			leak.Check(b)
			presence(b, n)             // once, whatever b.N is
			b.ReportMetric(0, "ns/op") // of which there is nothing to say
		})
	}
}

func presence(b *testing.B, n int) {
	registries := harness.MeasureFootprint() // of which nothing is there yet
	p := newPresent(b, n)
	empty := harness.MeasureFootprint()
	began := time.Now()
	p.attach()
	p.await("all clients", n, p.engines[:])
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "attaches/s")
	full := harness.MeasureFootprint()

	began = time.Now()
	last := nodes - 1
	p.engines[last].stop()
	p.await("those of a replica whose engine is gone are gone", n-n/nodes, p.engines[:last])
	b.ReportMetric(float64(time.Since(began)), "gone-ns")

	for _, e := range p.engines {
		e.stop()
	}
	rest := harness.MeasureFootprint()
	began = time.Now()
	p.start()
	p.await("all clients once more", n, p.engines[:])
	b.ReportMetric(float64(time.Since(began)), "again-ns")
	for i := range 1000 {
		if err := p.locate(p.id(i * n / 1000)); err != nil {
			b.Error("once more:", err)
		}
	}
	p.close()

	each := func(bytes int64) float64 { return float64(bytes) / float64(n) }
	registry := each(rest.Memory - registries.Memory)
	b.ReportMetric(each(full.Memory-empty.Memory), "B/client")
	b.ReportMetric(registry, "B/client-registry")
	b.ReportMetric((each(full.Memory-empty.Memory)-registry)/nodes, "B/client-engine")
}

// lookups looks for clients that one of the other replicas has, and for
// some that nobody has.
func lookups(b *testing.B) {
	n := harness.UnlessShort(100_000, 10_000)
	b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
		leak.Check(b)
		p := newPresent(b, n)
		p.attach()
		p.await("all clients", n, p.engines[:])
		at := 0
		b.Run("case=hit", func(b *testing.B) {
			p.lookUp(b, func() error {
				at = (at + 7919) % n
				return p.locate(p.id(at))
			})
		})
		b.Run("case=miss", func(b *testing.B) {
			p.lookUp(b, func() error {
				if err := p.locate("nobody"); !errors.Is(err, cluster.ErrNotConnected) {
					return fmt.Errorf("a client that nobody has: %v", err)
				}
				return nil
			})
		})
		b.Run("case=hit, 64 at once", p.lookUpAtOnce)
	})
}

func (p *present) lookUp(b *testing.B, look func() error) {
	var l harness.Latency
	for b.Loop() {
		l.Time(func() {
			if err := look(); err != nil {
				b.Fatal(err)
			}
		})
	}
	l.Report(b)
}

func (p *present) lookUpAtOnce(b *testing.B) {
	var next atomic.Int64
	var looking sync.WaitGroup
	for range 64 {
		looking.Go(func() {
			for at := next.Add(1); at <= int64(b.N); at = next.Add(1) {
				if err := p.locate(p.id(int(at) * 7919 % p.n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	looking.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
}

// A present is replicas that have clients, as their registries see it: what a client's
// session takes is measured elsewhere.
type present struct {
	*site
	n          int
	engines    [nodes]*engine
	registries [nodes]*natsregistry.Registry
	members    [nodes]cluster.Member
}

// newPresent returns replicas whose engines know each other. They are closed when b is
// done.
func newPresent(b *testing.B, n int) *present {
	b.Helper()
	p := &present{site: newSite(b), n: n}
	b.Cleanup(p.close)
	for i := range nodes {
		p.engines[i] = &engine{setup: p.setup(p.node(i).Name)}
	}
	p.start()
	for i, e := range p.engines {
		var err error
		p.registries[i], err = natsregistry.Connect("", natsregistry.Config{Options: []nats.Option{nats.InProcessServer(e)}})
		if err != nil {
			b.Fatal(err)
		}
		if p.members[i], err = p.registries[i].Join(p.node(i), &holding{p, i}); err != nil {
			b.Fatal(err)
		}
	}
	p.await("no clients", 0, p.engines[:])
	return p
}

// start has the engines run, and find each other.
func (p *present) start() {
	p.t.Helper()
	var at []string
	for _, e := range p.engines {
		addr, err := e.start(at)
		if err != nil {
			p.t.Fatal(err)
		}
		at = append(at, addr)
	}
	p.site.await("routes between all engines", func() bool {
		for _, e := range p.engines {
			if e.server().Routes() != nodes-1 {
				return false
			}
		}
		return true
	})
}

func (p *present) close() {
	for i, e := range p.engines {
		if p.registries[i] != nil {
			p.registries[i].Close()
		}
		e.stop()
	}
}

// own is how many subscriptions a registry has without clients: for its inbox, and for its
// member.
const own = 2

// await waits until each of some engines knows of n clients, which their replicas have.
func (p *present) await(what string, n int, engines []*engine) {
	p.t.Helper()
	p.site.await(what, func() bool {
		for _, e := range engines {
			if e.server().Subscriptions() != n+own*len(engines) {
				return false
			}
		}
		return true
	})
}

func (p *present) node(i int) cluster.Node {
	name := "replica-" + strconv.Itoa(i)
	return cluster.Node{Name: name, Run: name, URL: "https://" + name + ":7443"}
}

// The clients are numbered. They are at the replicas in turn.
const prefix = "client-"

func (p *present) id(number int) string { return prefix + strconv.Itoa(number) }

func (p *present) claim(number int) cluster.Claim {
	return cluster.Claim{ID: p.id(number), Node: p.node(number % nodes), Since: time.Unix(int64(number), 0)}
}

// attach has all replicas announce their clients at once.
func (p *present) attach() {
	var attaching sync.WaitGroup
	for i, m := range p.members {
		attaching.Go(func() {
			for number := i; number < p.n; number += nodes {
				m.Attach(p.claim(number))
			}
		})
	}
	attaching.Wait()
}

// locate looks for a client, by a replica that does not have it.
func (p *present) locate(id string) error {
	number, _ := strconv.Atoi(strings.TrimPrefix(id, prefix))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := p.registries[(number+1)%nodes].Locate(ctx, id)
	if err == nil && c.Node.Name != p.node(number%nodes).Name {
		return fmt.Errorf("client %q was found at %q", id, c.Node.Name)
	}
	return err
}

// A holding is what a replica knows of its clients.
type holding struct {
	*present
	replica int
}

// Claim implements [cluster.Holder].
func (h *holding) Claim(id string) (cluster.Claim, bool) {
	digits, ok := strings.CutPrefix(id, prefix)
	number, err := strconv.Atoi(digits)
	if !ok || err != nil || number >= h.n || number%nodes != h.replica {
		return cluster.Claim{}, false
	}
	return h.claim(number), true
}

// Rival implements [cluster.Holder]. There are none.
func (h *holding) Rival(cluster.Claim) {}

// An engine is that of a replica, which survives it.
type engine struct {
	setup setup
	mu    sync.Mutex
	nats  *natsserver.Server // nil while there is none
}

func (e *engine) server() *natsserver.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nats
}

// start starts an empty one, which joins others.
func (e *engine) start(join []string) (addr string, err error) {
	tls, err := mutual(e.setup)
	if err != nil {
		return "", err
	}
	s, err := natsserver.Start(natsserver.Config{Name: e.setup.Name, ClusterAddr: anywhere, TLS: tls, Join: join})
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nats = s
	return s.ClusterAddr().String(), nil
}

// stop ends the one that there is, and has nothing be left of it. It may be repeated.
func (e *engine) stop() {
	s := e.server()
	if s == nil {
		return
	}
	s.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nats = nil
}

// InProcessConn has a registry connect to the engine that there is.
func (e *engine) InProcessConn() (net.Conn, error) {
	if s := e.server(); s != nil {
		return s.InProcessConn()
	}
	return nil, errors.New("there is no engine")
}
