// Package carriertest tests the contract of carriers. A carrier's test is one call:
//
//	func TestContract(t *testing.T) {
//		carriertest.Test(t, carriertest.Target{Carrier: ws.New()})
//	}
//
// Every [Promise] is a subtest with that name.
package carriertest

import (
	"net"
	"slices"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/suite"
)

// A Target is a carrier, and how its servers are reached.
type Target struct {
	// Carrier to test. If it is a [carrier.Listener], the suite calls Listen; otherwise
	// the suite runs an HTTP server whose requests it upgrades.
	Carrier carrier.Carrier

	// Impatient is Carrier with a handshake timeout of a second or less. Only the promise
	// BoundsHandshakes uses it. If it is nil, the suite waits for Carrier's own timeout.
	Impatient carrier.Carrier

	// TLS secures the connections. The suite makes a certificate for 127.0.0.1, ::1 and
	// localhost, and gives each end its configuration.
	TLS bool

	// Listener wraps the listener of the suite's HTTP server, below TLS. nil means that
	// nothing does.
	Listener func(net.Listener) net.Listener

	// Scheme of the URLs to dial. "" means https with TLS, or else http.
	Scheme string

	// Addr is the address for a [carrier.Listener]. The suite dials the address that the
	// endpoint then has. "" means 127.0.0.1:0.
	Addr string
}

// alone reports whether a server needs an address that only one can have at a time.
func (target Target) alone() bool { return target.Addr != "" || target.Scheme == "mem" }

// A Deviation says that a carrier breaks a promise, and why. It must be true: if the
// carrier does keep the promise, the suite fails.
type Deviation struct {
	Promise Promise

	// Part is the name of the failing subtest of the promise. "" means that the promise
	// fails before any of its parts, or has none.
	Part string

	// Because is the reason, for the carrier's documentation.
	Because string
}

// mostlyWaiting are the promises whose tests mostly wait, so that they can run beside each other.
var mostlyWaiting = []Promise{ReportsUnreachable, BoundsHandshakes, EndpointCloses}

// Test runs a subtest for every promise of the contract. A promise that a deviation
// excuses is expected to fail, and is skipped when it does.
func Test(t *testing.T, target Target, deviations ...Deviation) {
	t.Helper()
	promises := make([]suite.Promise, len(contract))
	for i, p := range contract {
		promises[i] = suite.Promise{
			Name:  string(p.name),
			Test:  func(t *testing.T) { p.test(t, target) },
			Waits: !target.alone() && slices.Contains(mostlyWaiting, p.name),
		}
	}
	excused := make([]suite.Deviation, len(deviations))
	for i, d := range deviations {
		excused[i] = suite.Deviation{Promise: string(d.Promise), Part: d.Part, Because: d.Because}
	}
	suite.Run(t, promises, excused)
}
