// Package backdialtest is what the tests of other modules in this repository share: waits,
// leak checks, certificates, logs and a network that fails. Those modules have releases of
// their own, so they must not use what is internal to this one.
package backdialtest

import (
	"crypto/tls"
	"testing"

	"go.uber.org/goleak"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/internal/test/testnet"
)

// CheckLeaks fails t if goroutines that start after this call still run after t and the
// cleanups registered after this call have ended, unless an option in ignored says otherwise.
// Call it first. It cannot tell the goroutines of parallel tests apart.
func CheckLeaks(t testing.TB, ignored ...goleak.Option) {
	t.Helper()
	leak.Check(t, ignored...)
}

// Until waits until done returns true. After 30 s it fails t with what.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	await.Until(t, what, done)
}

// From waits for a value from c, or for c to be closed. After 30 s it fails t with what.
func From[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	return await.From(t, what, c)
}

// A Log keeps what is logged. The zero value is empty.
type Log = testlog.Log

// A CA is a certificate authority in memory.
type CA = testcert.CA

// NewCA returns a new authority.
func NewCA(t testing.TB) *CA {
	t.Helper()
	return testcert.NewCA(t)
}

// CertFiles writes a certificate and its key to PEM files, which are removed when t is done.
func CertFiles(t testing.TB, certificate tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	return testcert.Files(t, certificate)
}

// LoadMutual is [CA.Mutual] from files, for another process.
func LoadMutual(caFile, certFile, keyFile string) (*tls.Config, error) {
	return testcert.LoadMutual(caFile, certFile, keyFile)
}

// A TCP is a network between clients and a TCP server that fails on demand.
type TCP = faultnet.TCP

// NewTCP returns a network in front of the TCP server at addr. Its random choices follow from
// seed. It is closed when t is done.
func NewTCP(t testing.TB, addr string, seed uint64) *TCP {
	t.Helper()
	return testnet.TCP(t, addr, seed)
}

// Conditions are what a [TCP] does to connections. The zero value does nothing.
type Conditions = faultnet.Conditions

// A Way is the conditions in one direction.
type Way = faultnet.Way

// Both returns conditions that are the same in both directions.
func Both(w Way) Conditions { return faultnet.Both(w) }

// A Cut is a way for [TCP.Cut] to end connections.
type Cut = faultnet.Cut

// The ways to cut a connection.
const (
	Reset       = faultnet.Reset       // both get a RST
	Finish      = faultnet.Finish      // both get a FIN
	ResetClient = faultnet.ResetClient // the client gets a RST, and the server nothing
)
