package cluster_test

import (
	"context"
	"net"
	"testing"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/bench/harness"
)

// idles holds idle connections, and sessions between replicas, and measures what they
// take on one side.
func idles(b *testing.B) {
	connections, sessions := harness.UnlessShort(5000, 500), harness.UnlessShort(500, 100)
	for _, test := range []struct {
		name string
		n    int
		on   func(*idling) harness.Footprint
		hold func(i *idling, n int)
	}{
		{"local", connections, (*idling).owner, (*idling).local},
		{"remote, on the client's replica", connections, (*idling).owner, (*idling).remote},
		{"session between replicas, on one that is asked", sessions, (*idling).owner, (*idling).sessions},
		{"session between replicas, on one that asks", sessions, (*idling).asker, (*idling).sessions},
	} {
		b.Run("case="+test.name, func(b *testing.B) {
			backdialtest.CheckLeaks(b)
			i := newIdling(b)
			before := test.on(i)
			test.hold(i, test.n)
			test.on(i).Report(b, before, test.n, "each")
			b.ReportMetric(0, "ns/op") // it means nothing here
		})
	}
}

// idle is the ID of the client of a replica in a process of its own.
const idle = "idle"

// An idling is that replica, and one in this process. The client is in this process, too.
type idling struct {
	*site
	here  *replica
	there *process
}

func newIdling(b *testing.B) *idling {
	b.Helper()
	s := newSite(b)
	i := &idling{s, s.replica("here"), s.child("there")}
	s.echoes(idle, "ws://"+i.there.at.Clients)
	s.find(i.here, idle)
	i.local(1) // pays the fixed cost
	i.remote(1)
	return i
}

func (i *idling) owner() harness.Footprint { return i.there.tell(order{}).Footprint }
func (i *idling) asker() harness.Footprint { return harness.MeasureFootprint() }

// local makes the client's replica dial it.
func (i *idling) local(n int) { i.there.tell(order{Dial: idle, Times: n}) }

// remote dials the client from here.
func (i *idling) remote(n int) {
	for range n {
		i.open(i.here.Dial)
	}
}

// sessions makes each of n services dial the client once.
func (i *idling) sessions(n int) {
	for range n {
		service, err := i.here.service()
		if err != nil {
			i.t.Fatal(err)
		}
		i.t.Cleanup(func() { service.Close() })
		i.open(service.Dial).Close()
	}
}

// open returns a connection that is closed when the benchmark is done.
func (i *idling) open(dial dialFunc) net.Conn {
	i.t.Helper()
	conn, err := open(dial, idle)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { conn.Close() })
	return conn
}

// open returns a connection that has carried a byte to and fro.
func open(dial dialFunc, id string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := dial(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := harness.Ask(conn, make([]byte, 1)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
