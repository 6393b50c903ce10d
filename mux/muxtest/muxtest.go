// Package muxtest tests the contract of multiplexers. A muxer's test is one call:
//
//	func TestContract(t *testing.T) {
//		muxtest.Test(t, yamuxmux.New())
//	}
//
// Every [Promise] is a subtest with that name. Sessions run over TCP on the loopback
// interface, through a link that can be frozen or cut.
//
// What a muxer does not promise is a [Deviation]. So are optional interfaces that its
// streams lack: the suite logs which they have, and [Check], [WriteTo] and
// [ResetWithCode] fail without theirs.
package muxtest

import (
	"slices"
	"testing"

	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
)

// A Promise is the name of a line in the contract of package mux, and of the subtest for
// it.
type Promise string

// The promises.
const (
	NetConn             Promise = "NetConn"             // nettest.TestConn passes
	Intact              Promise = "Intact"              // Read returns what was written
	ConcurrentWrites    Promise = "ConcurrentWrites"    // on one stream do not interleave
	EOFOnlyAfterEnd     Promise = "EOFOnlyAfterEnd"     // a lost session is not the end of a stream
	WrittenArrives      Promise = "WrittenArrives"      // even if everything is closed right after
	HalfClose           Promise = "HalfClose"           // one direction ends, the other goes on
	MovedDeadline       Promise = "MovedDeadline"       // even while the carrier is stuck, and on time
	Addresses           Promise = "Addresses"           // are those of the connection
	Errors              Promise = "Errors"              // match what callers look for
	OpenIsImmediate     Promise = "OpenIsImmediate"     // the peer may speak first
	OpenEndsWithContext Promise = "OpenEndsWithContext" // even if the peer never accepts
	StalledStreams      Promise = "StalledStreams"      // do not slow down the others
	SmallBesideBulk     Promise = "SmallBesideBulk"     // a small Write does not wait for large ones
	ManyStreams         Promise = "ManyStreams"         // closed ones cost nothing, idle ones little
	SteadyReaders       Promise = "SteadyReaders"       // lose nothing when the session's memory is full
	BoundedMemory       Promise = "BoundedMemory"       // the greediest stream pays
	WriteEnds           Promise = "WriteEnds"           // when the peer closed or vanished
	CloseWakes          Promise = "CloseWakes"          // everything, and may be repeated
	CloseIsPrompt       Promise = "CloseIsPrompt"       // even while the carrier is stuck
	CloseAfterPeer      Promise = "CloseAfterPeer"      // returns no error, and neither does CloseWrite
	Reset               Promise = "Reset"               // ends a stream at once, and does not look like its end
	DeadPeer            Promise = "DeadPeer"            // is noticed by keepalive
	StreamLimits        Promise = "StreamLimits"        // cost the offender its stream only
	Shutdown            Promise = "Shutdown"            // waits for the streams in use, and tells the peer
	RoundTrip           Promise = "RoundTrip"           // is measured
	Streams             Promise = "Streams"             // in use are counted

	// Promises of optional interfaces. A muxer whose streams lack one declares that.
	ResetWithCode Promise = "ResetWithCode" // mux.CodeResetter: the peer gets the code
	WriteTo       Promise = "WriteTo"       // mux.WriterTo: writes what Read would return
	Check         Promise = "Check"         // mux.Checker: reports a reset without a Read

	// Promises of a muxer's own sessions only.
	AcceptEndsWithContext Promise = "AcceptEndsWithContext" // and loses nothing
	Messages              Promise = "Messages"              // arrive whole, in order and one at a time
	Ping                  Promise = "Ping"                  // tells whether the peer is alive
	DeafPeer              Promise = "DeafPeer"              // is noticed by keepalive, even if it goes on sending

	// Promises that only [Test] can test.
	Distance     Promise = "Distance"     // the round trip is known, and windows grow with it
	HostileInput Promise = "HostileInput" // at worst ends its own session
	Leaves       Promise = "Leaves"       // what was written has left when a stream is closed
)

// takesLong reports whether -short skips the test of p.
func takesLong(p Promise) bool { return p == SteadyReaders || p == Distance }

// mostlyWaiting are the promises whose tests mostly wait, so that they can run beside each other.
// Those that measure memory, or how long something takes, are not.
var mostlyWaiting = []Promise{
	EOFOnlyAfterEnd, WrittenArrives, HalfClose, Errors, Addresses, OpenIsImmediate, OpenEndsWithContext,
	WriteEnds, CloseWakes, CloseAfterPeer, Reset, ResetWithCode, WriteTo, Check, DeadPeer, StreamLimits,
	Shutdown, RoundTrip, Streams, AcceptEndsWithContext, Messages, Ping, DeafPeer,
}

// A promise is tested on sessions, however they were made.
type promise struct {
	name Promise
	test func(t *testing.T, connect Connect)
}

// streaming is what sessions promise their user.
var streaming = []promise{
	{NetConn, netConn},
	{Intact, intact},
	{ConcurrentWrites, concurrentWrites},
	{EOFOnlyAfterEnd, eofOnlyAfterEnd},
	{WrittenArrives, writtenArrives},
	{HalfClose, halfClose},
	{MovedDeadline, movedDeadline},
	{Errors, matchingErrors},
	{Addresses, addresses},
	{OpenIsImmediate, openIsImmediate},
	{OpenEndsWithContext, openEndsWithContext},
	{StalledStreams, stalledStreams},
	{SmallBesideBulk, smallBesideBulk},
	{ManyStreams, manyStreams},
	{SteadyReaders, steadyReaders},
	{BoundedMemory, boundedMemory},
	{WriteEnds, writeEnds},
	{CloseWakes, closeWakes},
	{CloseIsPrompt, closeIsPrompt},
	{CloseAfterPeer, closeAfterPeer},
	{Reset, resets},
	{ResetWithCode, resetWithCode},
	{WriteTo, writeTo},
	{Check, check},
	{DeadPeer, deadPeer},
	{StreamLimits, streamLimits},
	{Shutdown, shutdown},
	{RoundTrip, roundTripKnown},
	{Streams, streamsInUse},
}

// own is what a muxer's own sessions promise beyond that.
var own = []promise{
	{AcceptEndsWithContext, acceptEndsWithContext},
	{Messages, messages},
	{Ping, ping},
	{DeafPeer, deafPeer},
}

// A Deviation says that a muxer breaks a promise or a part of one, and why. It must be
// true: if the muxer does keep the promise, the suite fails. The other parts of the
// promise must pass.
type Deviation struct {
	Promise Promise

	// Part is the name of the failing subtest of the promise. "" means that the promise
	// fails before any of its parts, or has none.
	Part string

	// Because is the reason, for the muxer's documentation.
	Because string
}

// Test runs a subtest for every promise of the contract. A promise that a deviation
// excuses is expected to fail, and runs in a process of its own. A promise that hangs fails
// after a minute, with the stacks of its goroutines, and the suite goes on.
//
// With -short it skips [SteadyReaders] and [Distance], which take half the time, and a part of
// [ManyStreams] under the race detector. It repeats less often what may go wrong by chance.
func Test(t *testing.T, m mux.Muxer, deviations ...Deviation) {
	t.Helper()
	contract := slices.Concat(streaming, own, []promise{
		{Distance, func(t *testing.T, _ Connect) { distance(t, m) }},
		{Leaves, leaves}, // a connection that takes bytes has them
		{HostileInput, func(t *testing.T, _ Connect) { hostileInput(t, m) }},
	})
	suite.Run(t, promises(contract, over(m)), excuses(deviations))
}

// TestSessions is [Test] for sessions made by connect, of whatever layers. It tests all
// promises except [Distance], [HostileInput] and [Leaves].
func TestSessions(t *testing.T, connect Connect, deviations ...Deviation) {
	t.Helper()
	suite.Run(t, promises(slices.Concat(streaming, own), connect), excuses(deviations))
}

// TestStreams is [TestSessions] for sessions behind another API. It does not test
// promises of a muxer's own sessions.
func TestStreams(t *testing.T, connect Connect, deviations ...Deviation) {
	t.Helper()
	suite.Run(t, promises(streaming, connect), excuses(deviations))
}

func promises(contract []promise, connect Connect) []suite.Promise {
	promises := make([]suite.Promise, len(contract))
	for i, p := range contract {
		promises[i] = suite.Promise{
			Name:  string(p.name),
			Waits: slices.Contains(mostlyWaiting, p.name),
			Test: func(t *testing.T) {
				if testing.Short() && takesLong(p.name) {
					t.Skip("takes long: run it without -short")
				}
				p.test(t, connect)
			},
		}
	}
	return promises
}

func excuses(deviations []Deviation) []suite.Deviation {
	var excuses []suite.Deviation
	for _, d := range deviations {
		if testing.Short() && takesLong(d.Promise) {
			continue
		}
		excuses = append(excuses, suite.Deviation{Promise: string(d.Promise), Part: d.Part, Because: d.Because})
	}
	return excuses
}
