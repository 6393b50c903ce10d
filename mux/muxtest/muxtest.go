// Package muxtest is the contract of multiplexers, executed. A muxer's test is
// one call:
//
//	func TestContract(t *testing.T) {
//		muxtest.Test(t, yamuxmux.New())
//	}
//
// Every [Promise] is a subtest of its name. Sessions run over TCP on the
// loopback interface, through a link that can be frozen or cut.
//
// What a muxer does not promise is a [Deviation]. So are optional powers that its streams
// lack: the suite logs which there are, and [Check], [WriteTo] and [ResetWithCode] fail
// without theirs.
package muxtest

import (
	"slices"
	"testing"

	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
)

// A Promise is the name of one line of the contract of package mux, and of the
// subtest that tests it.
type Promise string

// The promises.
const (
	NetConn             Promise = "NetConn"             // nettest.TestConn passes
	Intact              Promise = "Intact"              // what is read is what was written
	ConcurrentWrites    Promise = "ConcurrentWrites"    // on one stream do not interleave
	EOFOnlyAfterEnd     Promise = "EOFOnlyAfterEnd"     // a lost session is not the end of a stream
	WrittenArrives      Promise = "WrittenArrives"      // also when everything is closed right after
	HalfClose           Promise = "HalfClose"           // one direction ends, the other goes on
	MovedDeadline       Promise = "MovedDeadline"       // also while the carrier is stuck, and on time
	Addresses           Promise = "Addresses"           // are those of the connection
	Errors              Promise = "Errors"              // match what callers look for
	OpenIsImmediate     Promise = "OpenIsImmediate"     // the acceptor may speak first
	OpenEndsWithContext Promise = "OpenEndsWithContext" // also if the peer never accepts
	StalledStreams      Promise = "StalledStreams"      // do not slow down the others
	SmallBesideBulk     Promise = "SmallBesideBulk"     // does not wait for it
	ManyStreams         Promise = "ManyStreams"         // one after the other, leave nothing; idle ones cost little
	SteadyReaders       Promise = "SteadyReaders"       // lose nothing when the session's memory is full
	BoundedMemory       Promise = "BoundedMemory"       // the greediest stream pays
	WriteEnds           Promise = "WriteEnds"           // when the peer closed or vanished
	CloseWakes          Promise = "CloseWakes"          // everything, and may be repeated
	CloseIsPrompt       Promise = "CloseIsPrompt"       // also while the carrier is stuck
	CloseAfterPeer      Promise = "CloseAfterPeer"      // is no error, nor is CloseWrite
	Reset               Promise = "Reset"               // ends a stream at once, and does not look like its end
	DeadPeer            Promise = "DeadPeer"            // is noticed by keepalive
	StreamLimits        Promise = "StreamLimits"        // cost the offender its stream only
	Shutdown            Promise = "Shutdown"            // waits for the streams in use, and the peer knows
	RoundTrip           Promise = "RoundTrip"           // is known
	Streams             Promise = "Streams"             // in use are counted

	// Those of optional powers of streams. A muxer whose streams lack one declares that.
	ResetWithCode Promise = "ResetWithCode" // mux.CodeResetter: the peer finds the code
	WriteTo       Promise = "WriteTo"       // mux.WriterTo: hands over what Read would return
	Check         Promise = "Check"         // mux.Checker: tells of a reset to who is not reading

	// Those of a muxer's own sessions alone.
	AcceptEndsWithContext Promise = "AcceptEndsWithContext" // and loses nothing
	Messages              Promise = "Messages"              // arrive whole, in order and one at a time
	Ping                  Promise = "Ping"                  // tells whether the peer lives
	DeafPeer              Promise = "DeafPeer"              // is noticed by keepalive, although it goes on sending

	// Those that [Test] alone can test.
	Distance     Promise = "Distance"     // the round trip is known, and windows grow with it
	HostileInput Promise = "HostileInput" // ends its own session at worst
	Leaves       Promise = "Leaves"       // what was written has left when a stream is closed
)

// takesLong reports whether the test of p is left out with -short.
func takesLong(p Promise) bool { return p == SteadyReaders || p == Distance }

// A promise is one that can be tested on sessions, however they were made.
type promise struct {
	name Promise
	test func(t *testing.T, connect Connect)
}

// streaming is what a session promises its user.
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

// own is what a muxer's session promises besides.
var own = []promise{
	{AcceptEndsWithContext, acceptEndsWithContext},
	{Messages, messages},
	{Ping, ping},
	{DeafPeer, deafPeer},
}

// A Deviation says that a muxer does not keep a promise or a part of one, and why. It has
// to be true: if the muxer keeps that after all, the suite fails. The other parts of the
// promise must pass.
type Deviation struct {
	Promise Promise

	// Part is the name of the subtest of the promise that fails. "" means that the promise
	// fails before any of its parts, or has none.
	Part string

	// Because is for the reader of the muxer's documentation.
	Because string
}

// Test runs a subtest for every promise of the contract. What deviations excuse is
// expected to fail, in processes of their own. A promise that hangs fails after a minute,
// with the stacks of its goroutines, and the next is tested.
//
// With -short [SteadyReaders] and [Distance] are skipped, which take half the time.
func Test(t *testing.T, m mux.Muxer, deviations ...Deviation) {
	t.Helper()
	contract := slices.Concat(streaming, own, []promise{
		{Distance, func(t *testing.T, _ Connect) { distance(t, m) }},
		{Leaves, leaves}, // a connection that takes bytes has them
		{HostileInput, func(t *testing.T, _ Connect) { hostileInput(t, m) }},
	})
	suite.Run(t, promises(contract, over(m)), excuses(deviations))
}

// TestSessions is [Test] for sessions that connect makes, of whatever layers.
// All promises are tested but [Distance], [HostileInput] and [Leaves].
func TestSessions(t *testing.T, connect Connect, deviations ...Deviation) {
	t.Helper()
	suite.Run(t, promises(slices.Concat(streaming, own), connect), excuses(deviations))
}

// TestStreams is [TestSessions] for sessions that are behind another API. Promises
// of a muxer's own sessions are not tested.
func TestStreams(t *testing.T, connect Connect, deviations ...Deviation) {
	t.Helper()
	suite.Run(t, promises(streaming, connect), excuses(deviations))
}

func promises(contract []promise, connect Connect) []suite.Promise {
	promises := make([]suite.Promise, len(contract))
	for i, p := range contract {
		promises[i] = suite.Promise{Name: string(p.name), Test: func(t *testing.T) {
			if testing.Short() && takesLong(p.name) {
				t.Skip("takes long: run it without -short")
			}
			p.test(t, connect)
		}}
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
