package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	// patience is how long it may take until every replica reaches every device.
	patience = 30 * time.Second

	// pollInterval is the interval for checks of what takes a moment.
	pollInterval = 20 * time.Millisecond
)

// A show does things to replicas, and reports how devices fare.
type show struct {
	w        io.Writer
	client   *http.Client
	front    *url.URL // the proxy
	replicas []*replica
	devices  []*device
	users    users
	pause    time.Duration // for the reader
	patience time.Duration // until every replica reaches every device
	asked    int
	results  []result
}

// A result is a line of the summary.
type result struct {
	what     string
	took     time.Duration
	meantime string
}

const intro = `
Three replicas, each a process with a NATS server in it, and a proxy in front of them:
%s. Devices connect through it, the vans to two replicas each.
The tables say how long each replica took to get a page from each device.
A ● marks a device that is connected to that very replica.`

// begin starts replicas, and connects devices.
func (s *show) begin(ctx context.Context, front *proxy) error {
	s.say(intro, s.front)
	return s.step(ctx, step{title: "All start", do: func() error {
		for _, r := range s.replicas {
			if err := r.start(); err != nil {
				return err
			}
		}
		for _, r := range s.replicas {
			if err := s.awaitReady(ctx, r); err != nil {
				return err
			}
		}
		for front.healthy() < len(s.replicas) && ctx.Err() == nil {
			wait(ctx, pollInterval)
		}
		for _, d := range s.devices {
			if err := d.connect(ctx, s.front.String()); err != nil {
				return err
			}
		}
		return nil
	}})
}

// run is the show once all devices are connected.
func (s *show) run(ctx context.Context) error {
	one, two, three := s.replicas[0], s.replicas[1], s.replicas[2]
	for _, what := range []func(context.Context, *replica) error{s.kill, s.start} {
		if err := what(ctx, two); err != nil {
			return err
		}
	}
	if hang == nil || drain == nil {
		s.say("\nThis system has no signals that make a replica hang, or drain it.")
		return nil
	}
	if err := s.hang(ctx, three); err != nil {
		return err
	}
	for _, what := range []func(context.Context, *replica) error{s.drain, s.start} {
		if err := what(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) kill(ctx context.Context, r *replica) error {
	return s.step(ctx, step{title: r.name + " is killed (kill -9)", down: r, do: func() error {
		r.down = "is dead"
		r.kill()
		return nil
	}})
}

func (s *show) start(ctx context.Context, r *replica) error {
	return s.step(ctx, step{title: r.name + " is started again", do: func() error {
		if err := r.start(); err != nil {
			return err
		}
		return s.awaitReady(ctx, r)
	}})
}

func (s *show) hang(ctx context.Context, r *replica) error {
	err := s.step(ctx, step{title: r.name + " hangs (SIGSTOP)", down: r, do: func() error {
		r.down = "hangs"
		return r.signal(hang)
	}})
	if err != nil {
		return err
	}
	return s.step(ctx, step{title: r.name + " goes on (SIGCONT)", do: func() error {
		if err := r.signal(resume); err != nil {
			return err
		}
		return s.awaitReady(ctx, r)
	}})
}

func (s *show) drain(ctx context.Context, r *replica) error {
	return s.step(ctx, step{title: r.name + " is drained (SIGTERM)", down: r, until: r.exited, do: func() error {
		r.down = "drains"
		return r.signal(drain)
	}})
}

// A step is something that happens to a replica.
type step struct {
	title string
	do    func() error
	down  *replica        // the replica that is then down, or nil
	until <-chan struct{} // closed when the step is over; nil if it is when do returns
}

// step does something, and meanwhile asks for all devices. Then it waits until every
// replica that is up reaches every device, and finally asks once more: all must answer.
func (s *show) step(ctx context.Context, what step) error {
	wait(ctx, s.pause)
	s.say("\n■ %s", what.title)
	if what.down != nil {
		s.say("  Connected to it: %s.", connectedTo(s.devices, what.down.name))
	}
	s.users.report()
	start := time.Now()
	if err := what.do(); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	first, err := s.askUntil(limit, what)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	first.write(s.w)
	if what.until != nil {
		s.say("  These are the slowest answers until it had exited, by itself, after %s.", duration(time.Since(start)))
	}
	took, last, err := s.awaitRecovery(limit, first, start)
	if what.until != nil && len(first.failures()) == 0 {
		took = first.slowest()
	}
	if err == nil {
		err = s.awaitSessions(limit)
	}
	if err != nil {
		return fmt.Errorf("%s: not every replica reaches every device after %s:\n%s",
			what.title, duration(time.Since(start)), strings.Join(append(last.failures(), err.Error()), "\n"))
	}

	settled := s.askAll(ctx)
	if failures := settled.failures(); len(failures) > 0 {
		return fmt.Errorf("%s: not every replica reaches every device any more:\n%s", what.title, strings.Join(failures, "\n"))
	}
	s.asked += settled.requests()
	s.say("  All reachable after %s; from then on within %s.", duration(took), duration(settled.slowest()))
	s.results = append(s.results, result{what.title, took, s.users.report()})
	return nil
}

// awaitSessions waits until the devices with two sessions have both, so that the next
// step can begin.
func (s *show) awaitSessions(ctx context.Context) error {
	up := func(name string) bool {
		return slices.ContainsFunc(s.replicas, func(r *replica) bool { return r.name == name && r.down == "" })
	}
	for _, d := range s.devices {
		for n := 0; n < d.sessions; wait(ctx, pollInterval) {
			n = 0
			for _, name := range d.replicas() {
				if up(name) {
					n++
				}
			}
			if ctx.Err() != nil {
				return fmt.Errorf("device %s is connected to %d replicas, want %d", d.id, n, d.sessions)
			}
		}
	}
	return nil
}

// awaitReady waits until a replica is healthy.
func (s *show) awaitReady(ctx context.Context, r *replica) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for {
		err := get(ctx, s.client, r.url.JoinPath("healthz").String(), "ok\n")
		if err == nil {
			r.down = ""
			return nil
		}
		select {
		case <-r.exited:
			return fmt.Errorf("%s has exited: %w", r.name, r.err)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", r.name, err)
		case <-time.After(pollInterval):
		}
	}
}

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

// sumUp prints the summary.
func (s *show) sumUp() {
	table := tabwriter.NewWriter(s.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\n\tall reachable\trequests of users meanwhile")
	for _, r := range s.results {
		fmt.Fprintf(table, "%s\tafter %s\t%s\n", r.what, duration(r.took), r.meantime)
	}
	table.Flush()
	s.say("\nEach time, every replica reached every device: %d of %d requests.", s.asked, s.asked)
}
