package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// A unit is a unit of the benchmarks, and how it is shown.
type unit struct {
	key    string // as benchmarks print it
	title  string
	scales []scale
	side   bool // only worth a column: no plots, no ratios
}

// A scale is a name for a multiple of a unit.
type scale struct {
	factor float64
	name   string
}

var (
	times  = []scale{{1, "ns"}, {1e3, "µs"}, {1e6, "ms"}, {1e9, "s"}}
	sizes  = []scale{{1, "B"}, {1 << 10, "KiB"}, {1 << 20, "MiB"}, {1 << 30, "GiB"}}
	kibs   = []scale{{1, "KiB"}, {1 << 10, "MiB"}, {1 << 20, "GiB"}}
	rates  = []scale{{1, "MB/s"}, {1e3, "GB/s"}}
	trips  = []scale{{1, "RTT"}}
	each   = []scale{{1, ""}, {1e3, "k"}, {1e6, "M"}}
	perSec = []scale{{1, "/s"}, {1e3, "k/s"}, {1e6, "M/s"}}
)

// units are in the order of columns.
var units = []unit{
	{key: "p50-ns", title: "p50", scales: times},
	{key: "p90-ns", title: "p90", scales: times},
	{key: "p99-ns", title: "p99", scales: times},
	{key: "max-ns", title: "longest", scales: times},
	{key: "dial-p50-ns", title: "Dial alone, p50", scales: times},
	{key: "backoff-p50-ns", title: "back-off, p50", scales: times, side: true},
	{key: "setup-p50-ns", title: "stream setup, p50", scales: times},
	{key: "ping-p50-ns", title: "ping, p50", scales: times},
	{key: "lookups/s", title: "lookups per second", scales: perSec},
	{key: "attaches/s", title: "announced per second", scales: perSec},
	{key: "gone-ns", title: "gone after", scales: times},
	{key: "again-ns", title: "back after", scales: times},
	{key: "streams/s", title: "streams per second", scales: perSec},
	{key: "sessions/s", title: "sessions per second", scales: perSec},
	{key: "requests/s", title: "requests per second", scales: perSec},
	{key: "pings/s", title: "pings per second", scales: perSec},
	{key: "MB/s", title: "throughput", scales: rates},
	{key: "late-MB/s", title: "throughput under way", scales: rates},
	{key: "bulk-MB/s", title: "bulk beside them", scales: rates},
	{key: "share", title: "least reader's share of the most", scales: each},
	{key: "cpu-s/GB", title: "CPU per GB", scales: []scale{{1, "s"}}},
	{key: "cpu-ns/request", title: "CPU per request", scales: times},
	{key: "cpu-ns/message", title: "CPU per message", scales: times},
	{key: "cpu-ns/min", title: "CPU per minute", scales: times},
	{key: "B/day", title: "traffic per day", scales: sizes},
	{key: "packets/day", title: "packets per day", scales: each, side: true},
	{key: "binary-B", title: "program", scales: sizes},
	{key: "rss-B", title: "resident memory", scales: sizes},
	{key: "held-B", title: "memory held", scales: sizes},
	{key: "session-RTTs", title: "session setup", scales: trips},
	{key: "first-RTTs", title: "first answer", scales: trips},
	{key: "setup-RTTs", title: "stream setup", scales: trips},
	{key: "ping-RTTs", title: "ping under load", scales: trips},
	{key: "B/client", title: "memory per client", scales: sizes},
	{key: "B/client-engine", title: "in each engine", scales: sizes, side: true},
	{key: "B/client-registry", title: "in its registry", scales: sizes, side: true},
	{key: "KiB/each", title: "memory", scales: kibs},
	{key: "KiB/session", title: "memory per session", scales: kibs},
	{key: "KiB/stream", title: "memory per stream", scales: kibs},
	{key: "goroutines/each", title: "goroutines", scales: each, side: true},
	{key: "goroutines/session", title: "goroutines per session", scales: each, side: true},
	{key: "goroutines/stream", title: "goroutines per stream", scales: each, side: true},
	{key: "ns/op", title: "time", scales: times},
	{key: "B/op", title: "allocated", scales: sizes, side: true},
	{key: "allocs/op", title: "allocations", scales: each, side: true},
}

// unitsOf orders units, and leaves out the time of an iteration if a benchmark has
// measured something of its own.
func unitsOf(keys []string) []unit {
	var known, unknown []unit
	for _, u := range units {
		if slices.Contains(keys, u.key) {
			known = append(known, u)
		}
	}
	for _, key := range keys {
		if !slices.ContainsFunc(units, func(u unit) bool { return u.key == key }) {
			unknown = append(unknown, unit{key: key, title: key, scales: each})
		}
	}
	all := append(known, unknown...)
	own := func(u unit) bool { return !strings.HasSuffix(u.key, "/op") }
	if slices.ContainsFunc(all, own) {
		all = slices.DeleteFunc(all, func(u unit) bool { return u.key == "ns/op" })
	}
	return all
}

// higherIsBetter holds for rates and shares; all else is a cost.
func (u unit) higherIsBetter() bool { return strings.HasSuffix(u.key, "/s") || u.key == "share" }

func (u unit) better() string {
	if u.higherIsBetter() {
		return "higher is better"
	}
	return "lower is better"
}

// scale returns the largest scale in which v is not less than one.
func (u unit) scale(v float64) scale {
	found := u.scales[0]
	for _, s := range u.scales {
		if math.Abs(v) >= s.factor {
			found = s
		}
	}
	return found
}

// show writes v for people, with its unit.
func (u unit) show(v float64) string {
	s := u.scale(v)
	return strings.TrimSuffix(digits(v/s.factor)+" "+s.name, " ")
}

// digits writes v with three significant digits, and at most two after the point.
func digits(v float64) string {
	decimals := 2
	for limit := 10.0; decimals > 0 && math.Abs(v) >= limit-limit/2000; limit *= 10 {
		decimals-- // 9.996 is written as 10.0
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if text == "-0.00" {
		return "0.00"
	}
	return text
}
