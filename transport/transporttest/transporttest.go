// Package transporttest runs what this library promises on a stack of a carrier and a
// multiplexer, through package transport. The test of a combination is one call:
//
//	func TestStack(t *testing.T) {
//		transporttest.Test(t, transporttest.Stack{
//			Target: carriertest.Target{Carrier: ws.New()},
//			Muxer:  yamuxmux.New(),
//		})
//	}
//
// Every [Promise] is a subtest with its name: the promises of package muxtest, which here hold
// from a server's Dialer to a client's Listener, and those below.
package transporttest

import (
	"testing"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/transport"
)

// A Stack is a combination to test.
type Stack struct {
	carriertest.Target
	Muxer mux.Muxer

	// Options are further options of both ends, such as a trace.
	Options []transport.Option

	// through returns the host to dial instead of the server's; nil: the same.
	through func(host string) string
}

// alone reports whether a server needs an address that only one can have at a time.
func (s Stack) alone() bool { return s.Addr != "" || s.Scheme == "mem" }

// A Promise is the name of a promise, and of its subtest.
type Promise = muxtest.Promise

// A Deviation says that a stack does not keep a promise, and why. It has to be true: if the
// stack keeps the promise after all, the suite fails.
type Deviation = muxtest.Deviation

// The promises, in addition to those of muxtest.
const (
	SameInfo       Promise = "SameInfo"       // both ends describe the session alike
	HeaderArrives  Promise = "HeaderArrives"  // and the values of the request's context
	HandlerReturns Promise = "HandlerReturns" // the session lives on
	HTTP           Promise = "HTTP"           // a device serves it, a server is its client
	ServerCloses   Promise = "ServerCloses"   // and every session with it
	ServerDrains   Promise = "ServerDrains"   // it waits for connections in use
	ClientMoves    Promise = "ClientMoves"    // to another server, before it leaves the one that asks for it
	ClientDials    Promise = "ClientDials"    // too, if the server accepts it
	MayNotDial     Promise = "MayNotDial"     // a client that keeps trying loses its session
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

// Test runs a subtest for every promise. A promise that a deviation excuses is expected to
// fail, and is skipped when it does.
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
