//go:build unix

package faulttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestRollingRestart restarts one replica after the other while clients are dialled.
func TestRollingRestart(t *testing.T) {
	const devices, workers = 9, 6
	s := newSite(t)
	waits := func(told *setup) { told.Waits = true }
	clients := s.balancer(func(r *replica) string { return r.Clients })
	users := s.balancer(func(r *replica) string { return r.Gate })
	var running []*process
	start := func(name string) *process {
		p := s.child(name, waits)
		clients.add(p.replica)
		users.add(p.replica)
		return p
	}
	for _, name := range []string{"a", "b", "c"} {
		running = append(running, start(name))
	}
	var all []*device
	for i := range devices {
		id := strconv.Itoa(i)
		all = append(all, s.deviceAt(id, "device-"+id, clients.addr()))
	}
	l := &load{site: s, devices: all, users: users.addr(), kinds: make(map[string]int)}
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for i := range workers {
		working.Go(func() {
			for ctx.Err() == nil {
				l.request(i == 0)
			}
		})
	}
	l.passes(20)
	for i, p := range running {
		began := time.Now()
		clients.remove(p.replica)
		users.remove(p.replica)
		p.drain()
		t.Logf("replica %s has drained after %v", p.name, time.Since(began))
		running[i] = start(p.name)
		l.passes(20)
	}
	stop()
	working.Wait()
	t.Log(l)
	for _, d := range all {
		for _, r := range s.replicas {
			ctx, cancel := s.within(patience)
			there, err := r.call(ctx, d.id)
			if err != nil {
				t.Errorf("%s dials %s: %v", r.name, d.id, err)
			} else {
				if there.device != d.name {
					t.Errorf("%s dials %s: reached %s", r.name, d.id, there.device)
				}
				there.Close()
			}
			cancel()
		}
	}
}

// A load is what users do meanwhile.
type load struct {
	site    *site
	devices []*device
	users   string

	mu      sync.Mutex // guards below
	kinds   map[string]int
	served  int
	slowest time.Duration
}

// request exchanges data with a client for a while. A service does not wait for clients, so it
// may not reach the client.
func (l *load) request(service bool) {
	d := l.devices[rand.N(len(l.devices))]
	ctx, cancel := l.site.within(patience)
	defer cancel()
	began := time.Now()
	err := l.use(ctx, d, request{ID: d.id, Service: service}, func() { l.took(time.Since(began), service) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if service {
		l.kinds[kindOf(err)]++
		return
	}
	l.served++
	if err != nil {
		l.site.t.Errorf("%s: %v", d.name, err)
	}
}

func (l *load) took(d time.Duration, service bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !service {
		l.slowest = max(l.slowest, d)
	}
}

func (l *load) use(ctx context.Context, d *device, ask request, reached func()) error {
	conn, told, err := through(ctx, l.users, ask)
	if err != nil {
		return err
	}
	if told.Failure != nil {
		return told.Failure
	}
	there, err := greet(ctx, conn)
	if err != nil {
		return err
	}
	defer there.Close()
	reached()
	if there.device != d.name {
		l.site.t.Errorf("reached %s, want %s", there.device, d.name)
	}
	for range 1 + rand.N(10) {
		if err := there.talks(ctx); err != nil {
			return err
		}
		<-time.After(rand.N(20 * time.Millisecond)) // as users do
	}
	return there.ends(ctx)
}

// passes waits until so many more requests were served.
func (l *load) passes(n int) {
	l.site.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.served
	}
	before := count()
	l.site.await("requests are served", func() bool { return count() >= before+n })
}

func (l *load) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d requests, the slowest reached its client after %v; by callers that do not wait: %v", l.served, l.slowest, l.kinds)
}
