package cluster_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
)

// nodes is how many replicas there are, each with an engine. The clients are spread over
// them.
const nodes = 3

// A present is replicas with clients, as their registries see them: the clients' sessions
// are measured elsewhere.
type present struct {
	*site
	n          int
	engines    [nodes]*engine
	registries [nodes]*natsregistry.Registry
	members    [nodes]cluster.Member
}

// newPresent returns replicas whose engines are connected. They are closed when b is
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

// start starts the engines, and waits until they are connected.
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
	backdialtest.Until(p.t, "routes between all engines", func() bool {
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

// own is how many subscriptions a registry has without clients: for its inbox, and for
// its member.
const own = 2

// await waits until each of the engines knows n clients, which their replicas have.
func (p *present) await(what string, n int, engines []*engine) {
	p.t.Helper()
	backdialtest.Until(p.t, what, func() bool {
		for _, e := range engines {
			if e.server().Subscriptions() != n+own*len(engines) {
				return false
			}
		}
		return true
	})
}

// awaitRegistries waits until all registries look for clients again. A registry may learn
// later than its engine that the engine is back.
func (p *present) awaitRegistries() {
	p.t.Helper()
	backdialtest.Until(p.t, "registries that are connected", func() bool {
		for _, r := range p.registries {
			if !r.Connected() {
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

// The clients are numbered, and assigned to the replicas in turn.
const prefix = "client-"

func (p *present) id(number int) string { return prefix + strconv.Itoa(number) }

func (p *present) claim(number int) cluster.Claim {
	return cluster.Claim{ID: p.id(number), Node: p.node(number % nodes), Since: time.Unix(int64(number), 0)}
}

// attach makes all replicas announce their clients at once.
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

// locate looks for a client, from a replica that does not have it.
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
