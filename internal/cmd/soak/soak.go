package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A soaking is a world whose networks fail.
type soaking struct {
	*world
	places         []*place
	talked, failed atomic.Int64 // exchanges
	peak           sample
	hung           bool
	shut, crashed  int     // servers
	wrong          []error // violations that do not concern one client
}

// soak lets all clients talk while networks fail and servers come and go. It returns the
// violations.
func soak(ctx context.Context, o options, out io.Writer, p *progress) error {
	before := take(0)
	w, err := newWorld(o, p)
	if err != nil {
		return err
	}
	s := &soaking{world: w}
	watch := newWatch()
	moments, err := s.run(ctx, out)
	stall := watch.end()
	results := resultsOf(o.stacks, s.clients)
	s.close()
	for _, place := range s.places {
		place.network.Close()
	}
	if err != nil {
		return err
	}
	after, left := gone(before, o.bound())
	moments = append([]moment{{"before", before}}, append(moments, moment{"all is closed", after})...)
	if left != nil {
		s.wrong = append(s.wrong, left)
		writeGoroutines(out)
	}

	writeResults(out, results)
	writeMoments(out, moments)
	fmt.Fprintf(out, "\nThe process stood still for %v at most.\n", stall.Round(time.Millisecond))
	for _, r := range results {
		if err := r.err(o.bound() + stall); err != nil {
			s.wrong = append(s.wrong, err)
		}
	}
	return errors.Join(s.wrong...)
}

// run returns samples from before, during and after the run: at both ends all clients are
// connected and nobody talks.
func (s *soaking) run(ctx context.Context, out io.Writer) ([]moment, error) {
	if err := s.assignPlaces(); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%d clients at %d places, seed %d\n", len(s.clients), len(s.places), s.seed)
	if err := s.connect(ctx, s.addr); err != nil {
		return nil, err
	}
	stop := s.talk()
	s.awaitAll(ctx, s.patience())
	stop()
	s.progress.print("all are connected, and silent for a while")
	first := s.quiet(ctx, func(a, b sample) bool {
		return b.sessions >= int64(len(s.clients)) && a.goroutines > 0 && a.growth(b) == nil
	})

	stop = s.talk()
	s.suffer(ctx, out)
	s.progress.print("all networks are sound again")
	s.awaitAll(context.Background(), s.patience())
	stop()
	s.progress.print("silence again")
	last := s.quiet(context.Background(), func(_, b sample) bool {
		return b.growth(first) == nil && b.sessions == first.sessions
	})
	if err := last.growth(first); err != nil {
		s.wrong = append(s.wrong, fmt.Errorf("there are %w", err))
		writeGoroutines(out)
	}
	if n := int64(len(s.clients)); last.sessions != n {
		s.wrong = append(s.wrong, fmt.Errorf("servers have %d sessions with %d clients", last.sessions, n))
	}
	s.progress.print("all is done")
	faults := 0
	for _, p := range s.places {
		faults += p.faults
	}
	fmt.Fprintf(out, "networks had %d faults; %d servers shut down, and %d crashed\n", faults, s.shut, s.crashed)
	return []moment{{"all are connected", first}, {"at most", s.peak.most(last)}, {"all are back", last}}, nil
}

// assignPlaces gives each client a place.
func (s *soaking) assignPlaces() error {
	open := make(map[*stack]*place)
	for _, c := range s.clients {
		p := open[c.stack]
		if p == nil || len(p.clients) == placeSize {
			var err error
			if p, err = newPlace(len(s.places), c.stack, s.site.addr(c.stack), s.seed); err != nil {
				return err
			}
			open[c.stack] = p
			s.places = append(s.places, p)
		}
		c.place = p
		p.clients = append(p.clients, c)
	}
	return nil
}

// addr is the address at which a client finds the site.
func (s *soaking) addr(c *client) string { return c.place.network.Addr() }

// talk runs the callers of all clients until stop is called.
func (s *soaking) talk() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var talking sync.WaitGroup
	for _, c := range s.clients {
		talking.Go(func() { c.talk(ctx, &s.dialers, s.pause, s.count) })
	}
	return func() {
		cancel()
		talking.Wait()
	}
}

// count counts an exchange.
func (s *soaking) count(err error) {
	s.talked.Add(1)
	if err != nil {
		s.failed.Add(1)
	}
}

// awaitAll waits until all clients that still can have answered, but at most for
// patience.
func (s *soaking) awaitAll(ctx context.Context, patience time.Duration) {
	for _, c := range s.clients {
		c.disturb("")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		silent := 0
		for _, c := range s.clients {
			if c.awaits() && !c.hasEnded() {
				silent++
			}
		}
		if silent == 0 || !wait(ctx, impatience) {
			return
		}
		s.progress.show("%d of %d clients have not answered yet", silent, len(s.clients))
	}
}

// patience bounds how long all clients take to come back: a dead session is noticed, and
// an attempt that came too early fails before the longest wait.
func (s *soaking) patience() time.Duration {
	return 2*s.silence() + s.backoff.Max + s.connecting()
}

// quiet takes samples while nobody talks. enough says whether the last two samples are
// good.
func (s *soaking) quiet(ctx context.Context, enough func(a, b sample) bool) sample {
	var previous sample
	return settled(ctx, s.settling(), func() sample {
		for _, p := range s.places {
			p.forget(2 * s.silence())
		}
		return s.sample()
	}, func(next sample) bool {
		a := previous
		previous = next
		return enough(a, next)
	})
}
