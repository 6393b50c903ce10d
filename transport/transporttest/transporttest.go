// Package transporttest is what this library promises, executed on a stack of
// a carrier and a multiplexer, by way of package transport. A combination's
// test is one call:
//
//	func TestStack(t *testing.T) {
//		transporttest.Test(t, transporttest.Stack{
//			Target: carriertest.Target{Carrier: ws.New()},
//			Muxer:  yamuxmux.New(),
//		})
//	}
//
// Every [Promise] is a subtest of its name: those of package muxtest, which
// here hold from a server's Dialer to a client's Listener, and those below.
package transporttest

import (
	"testing"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/transport"
)

// A Stack is a combination to be tested.
type Stack struct {
	carriertest.Target
	Muxer mux.Muxer

	// Options are what both ends have besides, such as a trace.
	Options []transport.Option

	// through returns the host to dial instead of the server's; nil: the same.
	through func(host string) string
}

// A Promise is the name of something that is promised, and of the subtest that
// tests it.
type Promise = muxtest.Promise

// A Deviation says that a stack does not keep a promise, and why. It has to be
// true: if the promise is kept after all, the suite fails.
type Deviation = muxtest.Deviation

// The promises, besides those of muxtest.
const (
	SameInfo       Promise = "SameInfo"       // both ends describe the session alike
	HeaderArrives  Promise = "HeaderArrives"  // and the values of the request's context
	HandlerReturns Promise = "HandlerReturns" // the session lives on
	HTTP           Promise = "HTTP"           // a device serves it, a server is its client
	ServerCloses   Promise = "ServerCloses"   // every session with it
	ServerDrains   Promise = "ServerDrains"   // it waits for connections in use
	ClientMoves    Promise = "ClientMoves"    // to another server, before it leaves the one that asks for it
	ClientDials    Promise = "ClientDials"    // too, if the server accepts it
	MayNotDial     Promise = "MayNotDial"     // costs a client that goes on trying its session
	BrokenCarrier  Promise = "BrokenCarrier"  // garbage ends its own session, with a reason
	EndReasons     Promise = "EndReasons"     // both ends know why a session has ended
)

var contract = []struct {
	name Promise
	test func(*testing.T, Stack)
}{
	{SameInfo, sameInfo},
	{HeaderArrives, headerArrives},
	{HandlerReturns, handlerReturns},
	{HTTP, overHTTP},
	{ServerCloses, serverCloses},
	{ServerDrains, serverDrains},
	{ClientMoves, clientMoves},
	{ClientDials, clientDials},
	{MayNotDial, clientMayNotDial},
	{BrokenCarrier, brokenCarrier},
	{EndReasons, endReasons},
}

// Test runs a subtest for every promise. Those that deviations excuse are
// expected to fail, and skipped if they do.
func Test(t *testing.T, s Stack, deviations ...Deviation) {
	t.Helper()
	var promises []suite.Promise
	ours := make(map[Promise]bool)
	for _, p := range contract {
		ours[p.name] = true
		promises = append(promises, suite.Promise{Name: string(p.name), Test: func(t *testing.T) { p.test(t, s) }})
	}
	var excuses []suite.Deviation
	var others []Deviation
	for _, d := range deviations {
		if ours[d.Promise] {
			excuses = append(excuses, suite.Deviation{Promise: string(d.Promise), Part: d.Part, Because: d.Because})
		} else {
			others = append(others, d)
		}
	}
	suite.Run(t, promises, excuses)
	muxtest.TestStreams(t, s.connect, others...)
}
