package faulttest

import (
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
)

// A Fault is the name of something that networks do, and of the subtest in which one does it.
type Fault string

// The faults.
const (
	Far        Fault = "Far"        // a round trip takes long
	Narrow     Fault = "Narrow"     // few bytes pass per second
	Stalled    Fault = "Stalled"    // nothing passes, for less than is noticed
	Hole       Fault = "Hole"       // everything vanishes
	FrozenUp   Fault = "FrozenUp"   // nothing comes from the client
	FrozenDown Fault = "FrozenDown" // nothing comes from the server
	Abandoned  Fault = "Abandoned"  // nothing passes, in some way, and both sides close
	Hopeless   Fault = "Hopeless"   // everything vanishes, and both close after a while
	Corrupted  Fault = "Corrupted"  // bits are turned
	Random     Fault = "Random"     // several faults, one after the other

	// On TCP.
	Chunked     Fault = "Chunked"     // everything comes in tiny pieces
	Frozen      Fault = "Frozen"      // nothing passes, and all of it later
	Reset       Fault = "Reset"       // the connection is reset
	Finished    Fault = "Finished"    // it ends as if both sides had finished
	Refused     Fault = "Refused"     // it is reset, and those that follow are too
	ClientReset Fault = "ClientReset" // it is reset, and the server hears nothing
	ServerReset Fault = "ServerReset" // it is reset, and the client hears nothing
	Flapping    Fault = "Flapping"    // all connections end soon, in any of these ways

	// On UDP.
	Lossy      Fault = "Lossy"      // some datagrams are lost
	Reordered  Fault = "Reordered"  // some come late
	Duplicated Fault = "Duplicated" // some come twice
	Bad        Fault = "Bad"        // all of that
	Shrunk     Fault = "Shrunk"     // long ones do not pass any more
	Rebound    Fault = "Rebound"    // the client gets another address, from a NAT
)

// A fault is what a subtest does to its network.
type fault struct {
	name    Fault
	network string     // that can have it, or "" for both
	begin   func(*rig) // nil for Random, which begins others
	then    outcome
	within  time.Duration // how soon a session ends, if it has to
	chance  bool          // it acts by chance
}

// of reports whether the network of s can have the fault.
func (f fault) of(s Stack) bool { return f.network == "" || f.network == s.Network }

// unnoticed reports whether s may not notice the fault: without TLS nothing notices every
// changed bit.
func (f fault) unnoticed(s Stack) bool { return f.name == Corrupted && !s.TLS }

// retry returns when clients of s connect again: by default, unless a changed bit may make the
// server answer a request that was not sent.
func (f fault) retry(s Stack) func(error) bool {
	if f.unnoticed(s) {
		return func(error) bool { return true }
	}
	return nil
}

// An outcome is what must become of a session.
type outcome int

const (
	lasts       outcome = iota // it lives on, and nothing fails
	ends                       // it ends, on both sides
	mayEnd                     // it may or may not end
	recovers                   // it lives on, or ends and is followed by another
	closes                     // both sides close during the fault
	endsForGood                // it ends, and both sides close during the fault
)

// usual is the network without a fault, slow enough for something to be under way most of the
// time.
var usual = faultnet.Both(faultnet.Way{Delay: 5 * time.Millisecond, Rate: 4 << 20})

// set returns a function that sets conditions.
func set(c faultnet.Conditions) func(*rig) {
	return func(r *rig) { r.network.Set(c) }
}

func both(w faultnet.Way) func(*rig) { return set(faultnet.Both(w)) }

// cut returns a function that cuts all connections.
func cut(how faultnet.Cut) func(*rig) {
	return func(r *rig) { r.network.(*faultnet.TCP).Cut(how) }
}

var faults = []fault{
	{name: Random, then: mayEnd}, // the longest

	{name: Far, begin: both(faultnet.Way{Delay: 100 * time.Millisecond}), then: lasts},
	{name: Narrow, begin: both(faultnet.Way{Rate: 1 << 20}), then: lasts},
	{name: Stalled, begin: stall, then: lasts},
	{name: Hole, begin: both(faultnet.Way{Swallow: true}), then: ends, within: silence},
	{name: FrozenUp, begin: set(faultnet.Conditions{Up: faultnet.Way{Frozen: true}}), then: ends, within: silence},
	{name: FrozenDown, begin: set(faultnet.Conditions{Down: faultnet.Way{Frozen: true}}), then: ends, within: silence},
	{name: Abandoned, begin: abandon, then: closes},
	{name: Hopeless, begin: both(faultnet.Way{Swallow: true}), then: endsForGood, within: silence},

	{name: Chunked, network: "tcp", begin: both(faultnet.Way{Chunk: 7}), then: lasts},
	{name: Frozen, network: "tcp", begin: both(faultnet.Way{Frozen: true}), then: ends, within: silence},
	{name: Reset, network: "tcp", begin: cut(faultnet.Reset), then: ends},
	{name: Finished, network: "tcp", begin: cut(faultnet.Finish), then: ends},
	{name: Refused, network: "tcp", begin: refuse, then: ends},
	{name: ClientReset, network: "tcp", begin: cut(faultnet.ResetClient), then: ends, within: silence},
	{name: ServerReset, network: "tcp", begin: cut(faultnet.ResetServer), then: ends, within: silence},
	{name: Flapping, network: "tcp", begin: flap, then: mayEnd},
	{name: Corrupted, network: "tcp", begin: both(faultnet.Way{Corrupt: 0.05}), then: mayEnd, chance: true},

	{name: Lossy, network: "udp", begin: both(faultnet.Way{Loss: 0.1}), then: lasts, chance: true},
	{name: Reordered, network: "udp", begin: both(faultnet.Way{Reorder: 0.2}), then: lasts, chance: true},
	{name: Duplicated, network: "udp", begin: both(faultnet.Way{Duplicate: 0.2}), then: lasts, chance: true},
	{name: Corrupted, network: "udp", begin: both(faultnet.Way{Corrupt: 0.1}), then: lasts, chance: true},
	{name: Bad, network: "udp", begin: both(faultnet.Way{
		Delay: 20 * time.Millisecond, Loss: 0.05, Reorder: 0.1, Duplicate: 0.1, Corrupt: 0.02,
	}), then: lasts, chance: true},
	{name: Shrunk, network: "udp", begin: both(faultnet.Way{MTU: 1300}), then: recovers, within: silence},
	{name: Rebound, network: "udp", begin: rebind, then: lasts},
}

// abandon lets nothing pass, or only in one direction.
func abandon(r *rig) {
	w := faultnet.Way{Frozen: true}
	r.network.Set([]faultnet.Conditions{
		{Up: w}, {Down: w}, faultnet.Both(w), faultnet.Both(faultnet.Way{Swallow: true}),
	}[r.chance.IntN(4)])
}

// stall freezes the network, for less time than an end needs to notice.
func stall(r *rig) {
	r.network.Set(faultnet.Both(faultnet.Way{Frozen: true}))
	<-time.After(KeepAliveTimeout / 4)
	r.network.Set(usual)
}

// flap cuts connections before long, including those in a handshake.
func flap(r *rig) {
	for range 20 {
		<-time.After(time.Duration(r.chance.Int64N(int64(50 * time.Millisecond))))
		r.network.(*faultnet.TCP).Cut(faultnet.Cut(r.chance.IntN(4)))
	}
}

func refuse(r *rig) {
	r.network.Set(faultnet.Conditions{Refuse: true})
	r.network.(*faultnet.TCP).Cut(faultnet.Reset)
}

func rebind(r *rig) {
	if err := r.network.(*faultnet.UDP).Rebind(); err != nil {
		r.t.Error(err)
	}
}
