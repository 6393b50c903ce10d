package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
)

// A fault is a way in which a network fails.
type fault struct {
	name  string
	on    string // "tcp", "udp" or "" for both
	begin func(n network, chance *rand.Rand)
}

// A network is a faultnet TCP or UDP.
type network interface {
	Addr() string
	Set(faultnet.Conditions)
	Close() error
}

// noise is the only fault of noisy stacks. Other stacks with TLS have it too.
const noise = "noise"

var allFaults = []fault{
	{"far", "", func(n network, chance *rand.Rand) {
		n.Set(faultnet.Both(faultnet.Way{Delay: between(chance, 20*time.Millisecond, 200*time.Millisecond)}))
	}},
	{"narrow", "", func(n network, chance *rand.Rand) {
		n.Set(faultnet.Both(faultnet.Way{Rate: 20_000 + chance.IntN(200_000)}))
	}},
	{"frozen", "", func(n network, chance *rand.Rand) { n.Set(oneWayOrBoth(chance, faultnet.Way{Frozen: true})) }},
	{"hole", "", func(n network, chance *rand.Rand) { n.Set(oneWayOrBoth(chance, faultnet.Way{Swallow: true})) }},
	{noise, "", func(n network, chance *rand.Rand) {
		n.Set(faultnet.Both(faultnet.Way{Corrupt: 0.01 + 0.04*chance.Float64()}))
	}},

	{"reset", "tcp", func(n network, _ *rand.Rand) { n.(*faultnet.TCP).Cut(faultnet.Reset) }},
	{"finished", "tcp", func(n network, _ *rand.Rand) { n.(*faultnet.TCP).Cut(faultnet.Finish) }},
	{"halfopen", "tcp", func(n network, chance *rand.Rand) {
		n.(*faultnet.TCP).Cut([]faultnet.Cut{faultnet.ResetClient, faultnet.ResetServer}[chance.IntN(2)])
	}},
	{"refused", "tcp", func(n network, _ *rand.Rand) {
		n.Set(faultnet.Conditions{Refuse: true})
		n.(*faultnet.TCP).Cut(faultnet.Reset)
	}},
	{"chunked", "tcp", func(n network, chance *rand.Rand) {
		n.Set(faultnet.Both(faultnet.Way{Chunk: 1 + chance.IntN(100)}))
	}},

	{"lossy", "udp", func(n network, chance *rand.Rand) {
		n.Set(faultnet.Both(faultnet.Way{Loss: 0.2 * chance.Float64(), Reorder: 0.1, Duplicate: 0.1}))
	}},
	{"rebound", "udp", func(n network, _ *rand.Rand) { n.(*faultnet.UDP).Rebind() }},
}

// oneWayOrBoth applies w to one direction, or to both.
func oneWayOrBoth(chance *rand.Rand, w faultnet.Way) faultnet.Conditions {
	return []faultnet.Conditions{{Up: w}, {Down: w}, {Up: w, Down: w}}[chance.IntN(3)]
}

func between(chance *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(chance.Int64N(int64(most-least)))
}

// faultsNamed returns the faults in a comma-separated list.
func faultsNamed(list string) (chosen []fault, err error) {
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(allFaults, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is not a fault; the faults are: %s", name, faultNames())
		}
		chosen = append(chosen, allFaults[i])
	}
	return chosen, nil
}

func faultNames() string {
	var names []string
	for _, f := range allFaults {
		names = append(names, f.name)
	}
	return strings.Join(names, ",")
}

// faultsOf returns the faults among all that clients of s should survive.
func (s *stack) faultsOf(all []fault) []fault {
	return slices.DeleteFunc(slices.Clone(all), func(f fault) bool {
		switch {
		case f.on == "udp" && !s.overUDP(), f.on == "tcp" && s.overUDP():
			return true
		case f.name == noise:
			return !s.noisy && !s.secure
		}
		return s.noisy
	})
}
