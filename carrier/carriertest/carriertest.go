// Package carriertest is the contract of carriers, executed. A carrier's test
// is one call:
//
//	func TestContract(t *testing.T) {
//		carriertest.Test(t, carriertest.Target{Carrier: ws.New()})
//	}
//
// Every [Promise] is a subtest of its name.
package carriertest

import (
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/suite"
)

// A Target is a carrier, and where its servers are.
type Target struct {
	// Carrier to be tested. If it is a [carrier.Listener], the suite lets it
	// listen; otherwise the suite runs an HTTP server for it to be upgraded
	// from.
	Carrier carrier.Carrier

	// Impatient is Carrier with a handshake timeout of a second or less. Only
	// the promise BoundsHandshakes uses it. nil means Carrier itself, whose own
	// timeout the suite then waits for.
	Impatient carrier.Carrier

	// TLS secures the connections. The suite makes a certificate for
	// 127.0.0.1, ::1 and localhost, and gives each end the configuration that
	// goes with it.
	TLS bool

	// Scheme of the URLs to dial. "" means https with TLS, or else http.
	Scheme string

	// Addr is what a [carrier.Listener] listens on. The suite dials the
	// address that the endpoint then has. "" means 127.0.0.1:0.
	Addr string
}

// A Deviation says that a carrier does not keep a promise, and why. It has to
// be true: if the promise is kept after all, the suite fails.
type Deviation struct {
	Promise Promise

	// Part is the name of the subtest of the promise that fails. "" means that the promise
	// fails before any of its parts, or has none.
	Part string

	// Because is for the reader of the carrier's documentation.
	Because string
}

// Test runs a subtest for every promise of the contract. Those that deviations
// excuse are expected to fail, and skipped if they do.
func Test(t *testing.T, target Target, deviations ...Deviation) {
	t.Helper()
	promises := make([]suite.Promise, len(contract))
	for i, p := range contract {
		promises[i] = suite.Promise{Name: string(p.name), Test: func(t *testing.T) { p.test(t, target) }}
	}
	excused := make([]suite.Deviation, len(deviations))
	for i, d := range deviations {
		excused[i] = suite.Deviation{Promise: string(d.Promise), Part: d.Part, Because: d.Because}
	}
	suite.Run(t, promises, excused)
}
