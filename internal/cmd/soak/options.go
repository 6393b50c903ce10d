package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/transport"
)

// options are the command line's.
type options struct {
	clients   int
	keepAlive time.Duration
	backoff   transport.Backoff
	spread    time.Duration
	slack     time.Duration
	seed      uint64
	only      string // a pattern for the names of stacks; "" for all
	stacks    []stack

	// For a soak.
	duration time.Duration
	pause    time.Duration
	faults   []fault
	every    time.Duration
	fault    time.Duration
	uptime   time.Duration
	crashes  float64

	// For a storm.
	storm bool
	away  time.Duration
}

func defaults() options {
	return options{
		keepAlive: 5 * time.Second,
		backoff:   transport.Backoff{Min: 500 * time.Millisecond},
		spread:    5 * time.Second,
		slack:     10 * time.Second,
		duration:  10 * time.Minute,
		pause:     5 * time.Second,
		faults:    allFaults,
		every:     20 * time.Second,
		fault:     6 * time.Second,
		uptime:    45 * time.Second,
		crashes:   0.25,
		away:      5 * time.Second,
	}
}

// flags defines the flags that set options.
func (o *options) flags() {
	flag.IntVar(&o.clients, "clients", o.clients, "how many clients connect (default 1000, or 2000 with -storm)")
	flag.DurationVar(&o.keepAlive, "keepalive", o.keepAlive, "after how much silence each end asks for a sign of life, and how long it waits for one")
	flag.DurationVar(&o.backoff.Min, "backoff-min", o.backoff.Min, "longest wait before the first attempt to connect again")
	flag.DurationVar(&o.backoff.Max, "backoff-max", o.backoff.Max, "longest wait, and how long a stable session lasts (default 5s, or 30s with -storm)")
	flag.DurationVar(&o.spread, "drain-spread", o.spread, "the time over which clients move when the next server takes over")
	flag.DurationVar(&o.slack, "slack", o.slack, "how much longer everything may take, because the machine is busy")
	flag.StringVar(&o.only, "stacks", "", "only the combinations whose names match this `regexp`, such as \"^wss\"")
	flag.Uint64Var(&o.seed, "seed", o.seed, "seed of all random choices (default random)")

	flag.DurationVar(&o.duration, "for", o.duration, "how long it goes on")
	flag.DurationVar(&o.pause, "pause", o.pause, "how long a client rests between two exchanges, on average")
	flag.Func("faults", "what networks do, separated by commas (default all of "+faultNames()+")", func(list string) (err error) {
		o.faults, err = faultsNamed(list)
		return err
	})
	flag.DurationVar(&o.every, "every", o.every, "how long a network works between two faults, on average")
	flag.DurationVar(&o.fault, "fault", o.fault, "how long a fault lasts, on average; at most twice that")
	flag.DurationVar(&o.uptime, "uptime", o.uptime, "how long until the next server takes over, on average; 0 means forever")
	flag.Float64Var(&o.crashes, "crashes", o.crashes, "share of servers that crash instead of shutting down")

	flag.BoolVar(&o.storm, "storm", false, "make all clients come back at once instead")
	flag.DurationVar(&o.away, "away", o.away, "how long nothing listens before that")
}

// check sets the remaining defaults, and refuses nonsense.
func (o *options) check() error {
	clients, longest := 1000, 5*time.Second
	if o.storm {
		clients, longest = 2000, 30*time.Second
	}
	o.clients = cmp.Or(o.clients, clients)
	o.backoff.Max = cmp.Or(o.backoff.Max, longest)
	o.backoff.Stable = o.backoff.Max
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	if o.stacks == nil {
		o.stacks = stacks(webtransport.New(
			webtransport.WithKeepAlive(o.keepAlive), webtransport.WithIdleTimeout(o.quicIdle())))
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-stacks: %w", err)
	}
	o.stacks = slices.DeleteFunc(slices.Clone(o.stacks), func(s stack) bool { return !only.MatchString(s.name) })
	if len(o.stacks) == 0 {
		return fmt.Errorf("-stacks %s: no stack has such a name", o.only)
	}
	for name, d := range map[string]time.Duration{
		"keepalive": o.keepAlive, "pause": o.pause, "every": o.every, "fault": o.fault, "for": o.duration,
		"backoff-min": o.backoff.Min, "backoff-max": o.backoff.Max, "drain-spread": o.spread,
	} {
		if d <= 0 {
			return fmt.Errorf("-%s %v: it must be positive", name, d)
		}
	}
	if o.clients < 0 {
		return fmt.Errorf("-clients %d: there must be some", o.clients)
	}
	if o.backoff.Max < o.backoff.Min {
		return errors.New("-backoff-max is less than -backoff-min")
	}
	return o.checkDescriptors(descriptors())
}

// silence is the time after which a dead path is known to be dead.
func (o options) silence() time.Duration { return 2 * o.keepAlive }

// bound is how long a call may take: a peer that is alive but takes nothing ends the
// session after twice the silence.
func (o options) bound() time.Duration { return 2*o.silence() + o.slack }

// quicIdle is QUIC's idle timeout. It is longer than the multiplexer's.
func (o options) quicIdle() time.Duration { return 3 * o.keepAlive }

// settling is how long traces of lost clients may remain: a server keeps the QUIC
// connection of a vanished client that long.
func (o options) settling() time.Duration { return o.keepAlive + o.quicIdle() + o.slack }

// connecting bounds how long connecting takes once it is possible: an attempt may have
// begun too early, and lasts as long as the library allows.
func (o options) connecting() time.Duration { return 10*time.Second + o.slack }
