package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// storm makes all clients come back at once: after a crash, and when the next server
// takes over. It returns the violations.
func storm(ctx context.Context, o options, out io.Writer, p *progress) error {
	o.stacks = slices.DeleteFunc(slices.Clone(o.stacks), func(s stack) bool { return s.noisy }) // there are no networks
	before := take(0)
	w, err := newWorld(o, p)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d clients, seed %d\n", o.clients, o.seed)
	err = w.connect(ctx, func(c *client) string { return w.site.addr(c.stack) })
	if err == nil {
		err = errors.Join(w.crash(ctx, out), w.takeOver(ctx, out))
	}
	w.close()
	if _, left := gone(before, o.bound()); left != nil {
		writeGoroutines(out)
		err = errors.Join(err, left)
	}
	return err
}

// crash makes all clients lose their server, which is away for a while.
func (w *world) crash(ctx context.Context, out io.Writer) error {
	watch := newWatch()
	lost := time.Now()
	w.site.crash()
	w.progress.print("nothing listens")
	wait(ctx, w.away-time.Since(lost))
	if err := w.site.restart(); err != nil {
		watch.end()
		return err
	}
	back := time.Now()
	w.progress.print("the server is back")
	arrivals, err := w.arrivals(ctx, lost, back.Add(w.backoff.Max+w.connecting()))

	h := histogram{row: row(w.backoff.Max), arrivals: since(back, arrivals), stall: watch.end()}
	chance := rand.New(rand.NewPCG(w.seed, 0))
	for _, c := range w.clients {
		for range repeats {
			h.expected = append(h.expected, w.comesBack(chance, c.stack, back.Sub(lost))-back.Sub(lost))
		}
	}
	fmt.Fprintf(out, "\nAll lose their server, which is back after %v\n\n", back.Sub(lost).Round(time.Millisecond))
	h.write(out)
	return errors.Join(err, h.err())
}

// repeats is how often the expectation repeats each client's random waits, so that chance
// plays no part in it.
const repeats = 100

// comesBack returns when a client has a session again, if it has lost its server at 0 and
// can connect from the time from on, as Backoff says.
func (w *world) comesBack(chance *rand.Rand, s *stack, from time.Duration) time.Duration {
	probes, patience := s.probes()
	var at time.Duration
	for bound := w.backoff.Min; ; bound = min(2*bound, w.backoff.Max) {
		at += time.Duration(chance.Int64N(int64(bound)))
		for _, probe := range probes {
			if at+probe >= from {
				return at + probe
			}
		}
		at += patience
	}
}

// takeOver starts the next server: clients move, as WithDrainSpread says.
func (w *world) takeOver(ctx context.Context, out io.Writer) error {
	if ctx.Err() != nil {
		return nil
	}
	watch := newWatch()
	gaps := w.gaps()
	began := time.Now()
	w.progress.print("a server shuts down")
	shut := make(chan error, 1)
	go func() { shut <- w.deploy() }()
	arrivals, err := w.arrivals(ctx, began, began.Add(w.spread+w.connecting()))
	err = errors.Join(err, <-shut)
	took := time.Since(began)

	h := histogram{row: row(w.spread), arrivals: since(began, arrivals), stall: watch.end()}
	for i := range w.clients {
		h.expected = append(h.expected, w.spread*time.Duration(i)/time.Duration(len(w.clients)))
	}
	fmt.Fprintf(out, "\nThe next server takes over, within %v; the last one has shut down after %v\n\n",
		w.spread, took.Round(time.Millisecond))
	h.write(out)
	if n := w.gaps() - gaps; n > 0 {
		err = errors.Join(err, fmt.Errorf("clients were without a session %d times while they moved", n))
	}
	return errors.Join(err, h.err())
}

// gaps is how often clients were without a session.
func (w *world) gaps() (n int) {
	for _, c := range w.clients {
		n += c.timesWithout()
	}
	return n
}

// arrivals waits until all clients have made a session after t, or until the deadline,
// and returns when they did, in order.
func (w *world) arrivals(ctx context.Context, t, deadline time.Time) (all []time.Time, err error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		all = all[:0]
		for _, c := range w.clients {
			if at, ok := c.connectedSince(t); ok {
				all = append(all, at)
			}
		}
		slices.SortFunc(all, time.Time.Compare)
		w.progress.show("%d of %d clients are back", len(all), len(w.clients))
		switch {
		case len(all) == len(w.clients):
			return all, nil
		case !wait(ctx, impatience):
			return all, fmt.Errorf("%d of %d clients are not back after %v",
				len(w.clients)-len(all), len(w.clients), time.Since(t).Round(time.Second))
		}
	}
}

// since returns the times since t.
func since(t time.Time, all []time.Time) (after []time.Duration) {
	for _, at := range all {
		after = append(after, at.Sub(t))
	}
	return after
}
