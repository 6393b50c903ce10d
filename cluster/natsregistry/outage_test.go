package natsregistry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
)

// In TestManyReturn an engine comes back empty, to a replica with many clients.
func TestManyReturn(t *testing.T) {
	backdialtest.CheckLeaks(t)
	const clients, others = 10_000, 3 // two inboxes, and what is for the replica itself
	e := newEngine(t)
	own := e.NumSubscriptions()
	a, outside := join(t, e.connect(t)), e.connect(t)
	a.attach("client", clients)
	all := func() bool { return e.NumSubscriptions() == own+clients+others }
	backdialtest.Until(t, "all subscriptions", all)
	e.down(t)()
	backdialtest.Until(t, "all subscriptions again", all)
	for i := 0; i < clients; i += clients / 10 {
		found(t, outside, fmt.Sprint("client", i), a)
	}
	nobody(t, outside, "another")
	for i := range clients {
		a.Detach(fmt.Sprint("client", i))
	}
	backdialtest.Until(t, "no subscriptions", func() bool { return e.NumSubscriptions() == own+others })
}

// In TestReturnRival a replica loses a client while it is cut off from the engine.
func TestReturnRival(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	cut := backdialtest.NewTCP(t, e.Addr().String(), 1)
	r, outside := connected(t, "nats://"+cut.Addr()), e.connect(t)
	a, b := join(t, r), join(t, outside)
	a.attach("client", 1)
	found(t, outside, "client0", a)
	cut.Set(backdialtest.Conditions{Refuse: true})
	cut.Cut(backdialtest.Reset)
	backdialtest.Until(t, "an outage being noticed", func() bool { return !r.Connected() })
	b.attach("client", 1)
	found(t, outside, "client0", b)
	cut.Set(backdialtest.Conditions{})
	receive(t, "the replica that has lost the client", a.rivals)
	receive(t, "the replica that has got it", b.rivals)
}

// TestReturnUnsettled asks for a client when the engine is back, and its replica is not.
func TestReturnUnsettled(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	outside := e.connect(t)
	late := backdialtest.NewTCP(t, e.Addr().String(), 1)
	r := connected(t, "nats://"+late.Addr())
	a := join(t, r)
	a.attach("client", 1)
	found(t, outside, "client0", a)

	restore := e.down(t)
	backdialtest.Until(t, "an outage being noticed", func() bool { return !r.Connected() })
	late.Set(backdialtest.Conditions{Refuse: true})
	restore()
	backdialtest.Until(t, "Connected", outside.Connected)
	located := make(chan error, 1)
	go func() {
		_, err := outside.Locate(t.Context(), "client0")
		located <- err
	}()
	select {
	case err := <-located:
		t.Fatalf("Locate returned %v while others are on their way back", err)
	case <-time.After(quiet):
	}
	late.Set(backdialtest.Conditions{})
	if err := <-located; err != nil {
		t.Errorf("Locate returned %v, want the replica that has come back", err)
	}
}

// In TestLostRequest a replica crashes, with its connection still there, and another one gets
// its client.
func TestLostRequest(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	outside := e.connect(t)
	crashing := backdialtest.NewTCP(t, e.Addr().String(), 1)
	a, b := join(t, connected(t, "nats://"+crashing.Addr())), join(t, e.connect(t))
	a.attach("client", 1)
	found(t, outside, "client0", a)
	crashing.Freeze()
	type result struct {
		claim cluster.Claim
		err   error
	}
	located := make(chan result, 1)
	go func() {
		c, err := outside.Locate(t.Context(), "client0")
		located <- result{c, err}
	}()
	select {
	case got := <-located:
		t.Fatalf("Locate returned %+v although nobody can have answered", got)
	case <-time.After(quiet):
	}
	b.attach("client", 1)
	if got := <-located; got.err != nil || got.claim.Node.Run != b.node.Run {
		t.Errorf("Locate returned %+v, %v; want the replica that has got the client", got.claim, got.err)
	}
}

// In TestLease a replica hangs. What it has announced goes with its connection.
func TestLease(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := serve(t, server.Options{PingInterval: 200 * time.Millisecond, MaxPingsOut: 2})
	outside := connected(t, "nats://"+s.Addr().String())
	hanging := backdialtest.NewTCP(t, s.Addr().String(), 1)
	r := connected(t, "nats://"+hanging.Addr())
	a := join(t, r)
	a.attach("client", 1)
	found(t, outside, "client0", a)
	hanging.Freeze()
	backdialtest.Until(t, "the end of what was announced", func() bool {
		_, err := outside.Locate(t.Context(), "client0")
		return errors.Is(err, cluster.ErrNotConnected)
	})
	backdialtest.Until(t, "the replica noticing it", func() bool { return !r.Connected() })
	hanging.Cut(backdialtest.Reset)
	hanging.Set(backdialtest.Conditions{})
	found(t, outside, "client0", a)
}

// TestNothingLater makes sure that what is asked during an outage is not asked after it.
func TestNothingLater(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	a, outside := join(t, e.connect(t)), e.connect(t)
	a.attach("client", 1)
	found(t, outside, "client0", a)
	restore := e.down(t)
	for range 100 {
		outside.Locate(t.Context(), "client0")
	}
	before := a.asked.Load()
	restore()
	found(t, outside, "client0", a)
	// What it has announced before is announced once more, and a try may have been lost.
	if n := a.asked.Load() - before; n > 20 {
		t.Errorf("the holder was asked %d times after an outage", n)
	}
}

// TestCloseHeld closes a registry whose engine does not answer, and one that cannot be
// dialled.
func TestCloseHeld(t *testing.T) {
	backdialtest.CheckLeaks(t)
	const atOnce = time.Second
	e := newEngine(t)
	r := e.connect(t)
	a := join(t, r)
	a.attach("client", 1000)
	found(t, r, "client999", a)
	e.network.Freeze()
	located := make(chan error, 1)
	go func() {
		_, err := r.Locate(context.Background(), "client0")
		located <- err
	}()
	began := time.Now()
	for range 2 {
		r.Close()
	}
	if took := time.Since(began); took > atOnce {
		t.Errorf("Close took %v", took)
	}
	if err := <-located; !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("Locate returned %v, want ErrUnavailable", err)
	}
	if _, err := r.Join(cluster.Node{Run: "x"}, a); err == nil {
		t.Error("a closed registry can be joined")
	}
	if _, err := r.Watch(t.Context(), "client0"); err == nil {
		t.Error("a closed registry can be watched")
	}

	silent := backdialtest.NewTCP(t, e.Addr().String(), 1)
	silent.Set(backdialtest.Both(backdialtest.Way{Swallow: true}))
	connecting := connect(t, "nats://"+silent.Addr())
	began = time.Now()
	connecting.Close()
	if took := time.Since(began); took > atOnce {
		t.Errorf("Close took %v while the engine is dialled", took)
	}
}
