// Package muxtest is the contract of multiplexers, executed. A muxer's test is
// one call:
//
//	func TestContract(t *testing.T) {
//		muxtest.Test(t, yamuxmux.New())
//	}
//
// Every [Promise] is a subtest of its name. Sessions run over TCP on the
// loopback interface, through a link that can be frozen or cut.
package muxtest

import (
	"slices"
	"testing"

	"github.com/backdial/backdial/internal/suite"
	"github.com/backdial/backdial/mux"
)

// A Promise is the name of one line of the contract of package mux, and of the
// subtest that tests it.
type Promise string

// The promises.
const (
	NetConn             Promise = "NetConn"             // nettest.TestConn passes
	EOFOnlyAfterEnd     Promise = "EOFOnlyAfterEnd"     // a lost session is not the end of a stream
	WrittenArrives      Promise = "WrittenArrives"      // also when everything is closed right after
	HalfClose           Promise = "HalfClose"           // one direction ends, the other goes on
	MovedDeadline       Promise = "MovedDeadline"       // also while the carrier is stuck
	Errors              Promise = "Errors"              // match what callers look for
	OpenIsImmediate     Promise = "OpenIsImmediate"     // the acceptor may speak first
	OpenEndsWithContext Promise = "OpenEndsWithContext" // also if the peer never accepts
	StalledStreams      Promise = "StalledStreams"      // do not slow down the others
	BoundedMemory       Promise = "BoundedMemory"       // the greediest stream pays
	WriteEnds           Promise = "WriteEnds"           // when the peer closed or vanished
	CloseWakes          Promise = "CloseWakes"          // everything, and may be repeated
	Reset               Promise = "Reset"               // ends a stream at once, and does not look like its end
	WriteTo             Promise = "WriteTo"             // hands over what Read would return
	Check               Promise = "Check"               // tells of a reset to who is not reading
	DeadPeer            Promise = "DeadPeer"            // is noticed by keepalive
	StreamLimits        Promise = "StreamLimits"        // cost the offender its stream only
	Shutdown            Promise = "Shutdown"            // waits for the streams in use, and the peer knows
	RoundTrip           Promise = "RoundTrip"           // is known
	Streams             Promise = "Streams"             // in use are counted

	// Those of a muxer's own sessions alone.
	AcceptEndsWithContext Promise = "AcceptEndsWithContext" // and loses nothing
	Messages              Promise = "Messages"              // arrive whole, and in order
	Ping                  Promise = "Ping"                  // tells whether the peer lives
	HostileInput          Promise = "HostileInput"          // ends its own session at worst
)

// A promise is one that can be tested on sessions, however they were made.
type promise struct {
	name Promise
	test func(t *testing.T, connect Connect)
}

// streaming is what a session promises its user.
var streaming = []promise{
	{NetConn, netConn},
	{EOFOnlyAfterEnd, eofOnlyAfterEnd},
	{WrittenArrives, writtenArrives},
	{HalfClose, halfClose},
	{MovedDeadline, movedDeadline},
	{Errors, matchingErrors},
	{OpenIsImmediate, openIsImmediate},
	{OpenEndsWithContext, openEndsWithContext},
	{StalledStreams, stalledStreams},
	{BoundedMemory, boundedMemory},
	{WriteEnds, writeEnds},
	{CloseWakes, closeWakes},
	{Reset, resets},
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
}

// A Deviation says that a muxer does not keep a promise, and why. It has to be
// true: if the promise is kept after all, the suite fails.
type Deviation struct {
	Promise Promise
	// Because is for the reader of the muxer's documentation.
	Because string
}

// Test runs a subtest for every promise of the contract. Those that deviations
// excuse are expected to fail, and skipped if they do.
func Test(t *testing.T, m mux.Muxer, deviations ...Deviation) {
	t.Helper()
	promises := append(promises(slices.Concat(streaming, own), over(m)), suite.Promise{
		Name: string(HostileInput),
		Test: func(t *testing.T) { hostileInput(t, m) },
	})
	suite.Run(t, promises, excuses(deviations))
}

// TestSessions is [Test] for sessions that connect makes, of whatever layers.
// All promises are tested but [HostileInput].
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
		promises[i] = suite.Promise{Name: string(p.name), Test: func(t *testing.T) { p.test(t, connect) }}
	}
	return promises
}

func excuses(deviations []Deviation) []suite.Deviation {
	excuses := make([]suite.Deviation, len(deviations))
	for i, d := range deviations {
		excuses[i] = suite.Deviation{Promise: string(d.Promise), Because: d.Because}
	}
	return excuses
}
